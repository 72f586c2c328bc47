"""A figure with the interval in which it is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""Of dataclasses that a report holds as they are."""
Number = Annotated[float, Field(ge=0.0)]


@dataclass(frozen=True)
class Figure:
    """A figure of at least 0, and the interval that it lies in."""

    __pydantic_config__ = STRICT

    value: Number
    low: Number
    high: Number

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} is not between {self.low} and {self.high}")

    def __add__(self, other: Figure) -> Figure:
        """Sum whose parts err together, so its interval is that of their ends."""
        return Figure(self.value + other.value, self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Figure:
        """Times a number of at least 0."""
        return Figure(self.value * factor, self.low * factor, self.high * factor)


def exact(value: float) -> Figure:
    """A figure without an interval."""
    return Figure(value, value, value)


ZERO = exact(0.0)
