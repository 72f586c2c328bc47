"""The ensemble on the chip against its teacher on another processor: who takes less, and from which rate on.

What is computed costs energy per inference, what is switched on costs power. At r inferences per second::

    whole chip           e(r) = neurocore + (x86 + static) / r        r at most the throughput
    whole processor      E(r) = macs e_mac + idle / r
    neurocores alone     e    = neurocore + host arithmetic
    arithmetic alone     E    = macs e_mac

The first two are compared, and the last two, and never one of the first with one of the last. The chip
takes less where e(r) < E(r), which changes at one rate at most::

    r = (x86 + static - idle) / (macs e_mac - neurocore)

Every figure is an interval, so every answer is threefold: yes or no holds for all of the interval, and
anything else cannot be told. Not modelled: how many boards a rate takes, batches, and that another network
of as many multiply-accumulates may take more or less than one that was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sne_deploy.energy.processor import ARITHMETIC, Kind, Processor

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_Number = Annotated[float, Field(ge=0.0)]

Side = Literal["always", "never", "above", "below"]
"""At which rates the chip takes less: all, none, those above or below one at which it turns."""
Answer = Literal["yes", "no", "open"]


@dataclass(frozen=True)
class Figure:
    """A figure and the interval in which it is expected."""

    __pydantic_config__ = _STRICT

    value: _Number
    low: _Number
    high: _Number

    def __post_init__(self) -> None:
        assert 0.0 <= self.low <= self.value <= self.high, self  # noqa: S101  the callers' figures

    def __add__(self, other: Figure) -> Figure:
        """Sum whose parts err together: no interval of a sum is narrower than that of its parts."""
        return Figure(self.value + other.value, self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Figure:
        """Times a number of at least 0."""
        return Figure(self.value * factor, self.low * factor, self.high * factor)


def exact(value: float) -> Figure:
    """A figure without an interval."""
    return Figure(value, value, value)


ZERO = exact(0.0)


@dataclass(frozen=True)
class ChipFigures:
    """What the ensemble takes on the chip.

    Attributes
    ----------
    neurocore_j : Figure
        Joules of one inference on the neurocores.
    host_j : float
        Joules of one inference's arithmetic on the host; on the whole chip the x86 processors do this.
    x86_w, static_w : Figure
        Watts, at every rate.
    throughput_per_s : float
        Inferences per second that the chip makes at most.
    """

    __pydantic_config__ = _STRICT

    neurocore_j: Figure
    host_j: _Number
    x86_w: Figure
    static_w: Figure
    throughput_per_s: Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True)
class Turn:
    """At which rates the chip takes less; ``rate_per_s`` is None where it turns at none that it reaches."""

    __pydantic_config__ = _STRICT

    side: Side
    rate_per_s: _Number | None

    def cheaper(self, rate_per_s: float) -> bool:
        """Whether the chip takes less at a rate."""
        if self.rate_per_s is None:
            return self.side == "always"
        return rate_per_s > self.rate_per_s if self.side == "above" else rate_per_s < self.rate_per_s


@dataclass(frozen=True)
class Comparison:
    """One network on one processor against the ensemble on the chip, at one rate.

    Attributes
    ----------
    kind : Kind
    theirs_j, ours_j : Figure
        Joules of one inference at ``rate_per_s``, on the same line: the whole, or computing alone.
    turn : Turn
        By the figures as they are.
    best, worst : Turn
        With every interval in the chip's favour, and against it.
    """

    kind: Kind
    rate_per_s: float
    theirs_j: Figure
    ours_j: Figure
    turn: Turn
    best: Turn
    worst: Turn

    @property
    def ratio(self) -> Figure | None:
        """Theirs over ours: above 1 the chip takes less. None where ours may be 0."""
        theirs, ours = self.theirs_j, self.ours_j
        if not ours.low:
            return None
        return Figure(theirs.value / ours.value, theirs.low / ours.high, theirs.high / ours.low)

    @property
    def answer(self) -> Answer:
        """Whether the chip takes less at this rate."""
        if self.worst.cheaper(self.rate_per_s):
            return "yes"
        return "open" if self.best.cheaper(self.rate_per_s) else "no"


def whole_chip_j(chip: ChipFigures, rate_per_s: float) -> Figure:
    """Joules of one inference with everything that is switched on for it."""
    return chip.neurocore_j + (chip.x86_w + chip.static_w) * (1.0 / rate_per_s)


def computing_j(chip: ChipFigures) -> Figure:
    """Joules of one inference's operations alone: the neurocores' and the host's."""
    return chip.neurocore_j + exact(chip.host_j)


def compare(macs: int, processor: Processor, chip: ChipFigures, rate_per_s: float) -> Comparison:
    """A network of so many multiply-accumulates on a processor against the ensemble on the chip."""
    per_mac = Figure(*_ordered(processor.per_mac_j)) * macs
    if processor.kind == ARITHMETIC:
        ours, power, most = computing_j(chip), ZERO, math.inf
        return _compared(processor.kind, rate_per_s, per_mac, 0.0, ours, power, most)
    power, most = chip.x86_w + chip.static_w, chip.throughput_per_s
    return _compared(processor.kind, rate_per_s, per_mac, processor.idle_w, chip.neurocore_j, power, most)


def _ordered(figure: tuple[float, float, float]) -> tuple[float, float, float]:
    value, low, high = figure
    return value, min(low, value), max(high, value)


def _compared(
    kind: Kind, rate: float, theirs: Figure, idle_w: float, ours: Figure, power_w: Figure, most: float
) -> Comparison:
    return Comparison(
        kind=kind,
        rate_per_s=rate,
        theirs_j=theirs + exact(idle_w / rate),
        ours_j=ours + power_w * (1.0 / rate),
        turn=turn(ours.value - theirs.value, power_w.value - idle_w, most),
        best=turn(ours.low - theirs.high, power_w.low - idle_w, most),
        worst=turn(ours.high - theirs.low, power_w.high - idle_w, most),
    )


def turn(energy_j: float, power_w: float, most_per_s: float) -> Turn:
    """Where ``energy_j + power_w / r``, what the chip takes more, is negative for rates r up to the most."""
    slow = power_w < 0 or (power_w == 0 and energy_j < 0)
    fast = energy_j + power_w / most_per_s < 0
    if slow == fast:
        return Turn("always" if slow else "never", None)
    return Turn("above" if fast else "below", power_w / -energy_j)
