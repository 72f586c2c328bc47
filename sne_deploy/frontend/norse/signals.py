"""What the tensors of a module's run are: the output of one operation of a chain, at some steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

INPUT = -1


@dataclass(frozen=True)
class Signal:
    """A tensor that an operation of the chain made.

    Attributes
    ----------
    op : int
        Number of the operation; -1: the network's input.
    steps : tuple of int or None
        The steps that it holds, in order; None: it is the same at every step.
    axis : int or None
        Its time axis; None: it is one step, [B, ...].
    merged : bool
        Time and batch are one first axis, whichever of them ``axis`` says first (0: time).
    readout : str or None
        How time was reduced; ``steps`` then are those that it was made of.
    notes : tuple of str
        What the user should know where it is what the module returns.
    """

    op: int
    steps: tuple[int, ...] | None
    axis: int | None = None
    merged: bool = False
    readout: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lost:
    """A tensor that no layer can stand for, and why."""

    why: str


class WrongLayoutError(Exception):
    """The input was given with other axes than the module takes."""


class NotAChainError(Exception):
    """The module computes what a chain of layers cannot."""


class SomeStepsError(NotAChainError):
    """It returns some of the steps alone, or a reduction of them."""


@dataclass
class Operation:
    """One operation of the chain, what it got and gave at every step, and its state then: tensors [B, ...].

    A signal that is the same at every step is kept as that of step 0.
    """

    source: int
    path: str
    what: Any
    got: dict[int, torch.Tensor] = field(default_factory=dict)
    gave: dict[int, torch.Tensor] = field(default_factory=dict)
    states: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Affine:
    """A factor and a shift per neuron of a vector, or per channel of a map: float64 tensors."""

    factor: torch.Tensor
    shift: torch.Tensor

    def __eq__(self, other: object) -> bool:
        """Whether both are the same numbers."""
        return isinstance(other, Affine) and all(
            torch.equal(mine, its) for mine, its in ((self.factor, other.factor), (self.shift, other.shift))
        )

    __hash__ = None  # type: ignore[assignment]  # compared by value

    def __repr__(self) -> str:
        """The same for all values, so that those of two steps are compared."""
        return "Affine"


@dataclass(frozen=True)
class Rectify:
    """A function that leaves spikes, 0 and 1, as they are."""

    name: str


def lead(signal: Signal, tensor: torch.Tensor) -> tuple[int, ...]:
    """The axes of time and batch in front of a tensor's values."""
    return tuple(tensor.shape[: 1 if signal.axis is None or signal.merged else 2])


def by_step(signal: Signal, tensor: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """Every step that a tensor holds, [B, ...]."""
    steps = (0,) if signal.steps is None else signal.steps
    if signal.axis is None:
        yield steps[0], tensor
        return
    if signal.merged:
        count = len(steps)
        sizes = (count, -1) if signal.axis == 0 else (-1, count)
        tensor = tensor.unflatten(0, sizes)  # type: ignore[no-untyped-call]  # torch's own
    yield from zip(steps, tensor.unbind(signal.axis), strict=True)


SAME_CLASS = "; the class is the same"
"""How a note ends that says what of a module's ``forward`` is left out behind its output."""


def noted(signal: Signal, text: str) -> Signal:
    """The same signal, with something that the user should know."""
    return signal if text in signal.notes else replace(signal, notes=(*signal.notes, text))


def at(signal: Signal, op: int) -> Signal:
    """The same steps and axes, of another operation."""
    return replace(signal, op=op)
