"""What every student did on every sample: all that any activation policy's result follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.energy.accounting import COUNTED, MOVED
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Gate, Head
from sne_deploy.runtime.head import head_macs, parts
from sne_deploy.runtime.placed import PlacedCounts, PlacedTime, StepTimes
from sne_deploy.runtime.result import RunResult
from sne_deploy.runtime.step_times import in_turn, side_by_side

Array = npt.NDArray[Any]
MAX_TOTAL = 2**53
"""Counts are summed as float64, which is exact below this."""
MESSAGES = tuple(name for name in MOVED if name != "memory_words")
"""What a placement counts of every sample."""


@dataclass(frozen=True, eq=False)
class GateRecord:
    """What the gate says of every sample.

    Attributes
    ----------
    gate : Gate
    logits : float64 array of shape (N, students)
    macs : int64 array of shape (N,)
        Multiply-accumulates that it takes.
    """

    gate: Gate
    logits: Array
    macs: Array


@dataclass(frozen=True, eq=False)
class Timed:
    """How long every student takes on the neurocores, of every sample.

    Attributes
    ----------
    placed : tuple of PlacedCounts
    each : tuple of StepTimes
    floor_s : float
        What a step takes at least, the longer of the chip's floors.
    """

    placed: tuple[PlacedCounts, ...]
    each: tuple[StepTimes, ...]
    floor_s: float

    def seconds(self, time: PlacedTime) -> Array:
        """Latency of each sample, float64 array of shape (N,)."""
        assert time.latency_busy_s is not None  # noqa: S101  there are steps
        return np.asarray(time.latency_busy_s + self.floor_s * time.latency_steps)

    def together(self, active: Array) -> Array:
        """Where students run side by side: bool array of shape (N, students) to float64 of shape (N,)."""
        which = np.flatnonzero(active.any(axis=0))
        placed = [
            replace(
                self.placed[k],
                steps=np.where(active[:, k], self.placed[k].steps, 0),
                latency_steps=np.where(active[:, k], self.placed[k].latency_steps, 0),
            )
            for k in which
        ]
        return self.seconds(side_by_side(placed, [self.each[k] for k in which], active[:, which]))

    def taken(self, rows: Array) -> Timed:
        """Some of the samples."""
        placed = tuple(one.take(rows) for one in self.placed)
        return replace(self, placed=placed, each=tuple(one.take(rows) for one in self.each))


@dataclass(frozen=True, eq=False)
class Recorded:
    """All students on all samples.

    Attributes
    ----------
    weight_bits : int or None
        With which they ran; None: the chip's.
    head : Head
    parts : tuple of float64 arrays of shape (N, classes)
        What each student brings to the logits; see :func:`sne_deploy.runtime.head.parts`.
    labels : int64 array of shape (N,)
    counts : mapping of str to int64 array of shape (N, students)
        What each student adds, by the names of :class:`sne_deploy.energy.accounting.Counts` and ``Traffic``;
        its part of the head's host MACs is among its own. What is not counted is not there.
    gate : GateRecord or None
    timed : Timed or None
        None where students are on no cores, or the chip's file has no times.
    """

    weight_bits: int | None
    head: Head
    parts: tuple[Array, ...]
    labels: Array
    counts: Mapping[str, Array]
    gate: GateRecord | None
    timed: Timed | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @property
    def students(self) -> int:
        """Number of students."""
        return len(self.parts)

    @cached_property
    def costs(self) -> Array:
        """What adds up in a cascade, float64 (students, quantities, N): the counts, then seconds."""
        found = [np.asarray(each, np.float64).T for each in self.counts.values()]
        if self.timed is not None:
            found.append(np.stack([self.timed.seconds(in_turn([each])) for each in self.timed.placed]))
        return np.stack(found, axis=1)

    def taken(self, rows: Array) -> Recorded:
        """Some of the samples."""
        gate = self.gate and replace(self.gate, logits=self.gate.logits[rows], macs=self.gate.macs[rows])
        return replace(
            self,
            parts=tuple(part[rows] for part in self.parts),
            labels=self.labels[rows],
            counts={name: count[rows] for name, count in self.counts.items()},
            gate=gate,
            timed=self.timed and self.timed.taken(rows),
        )


def recorded(
    result: RunResult,
    head: Head,
    weight_bits: int | None,
    gate: GateRecord | None,
    floors: Mapping[str, float] = MappingProxyType({}),
) -> Recorded:
    """Take what matters from a run of all students on all samples.

    ``floors`` are those of :func:`sne_deploy.energy.time.step_floors`.

    Raises
    ------
    InputError
        There are no labels, or counts too large to be summed exactly.
    """
    if result.labels is None:
        raise InputError("policies are compared by accuracy, and the data have no labels; give data with y")
    traces = [student.trace for student in result.students]
    counts = {name: np.stack(values, axis=1) for name in COUNTED if (values := _counted(traces, name))}
    sizes = [trace.outputs.shape[1] for trace in traces]
    every = np.eye(len(traces), dtype=bool)
    counts["host_macs"] = counts["host_macs"] + head_macs(head, sizes, every)
    if all(student.placed is not None for student in result.students):
        for name in MESSAGES:
            counts[name] = np.stack([getattr(student.placed, name) for student in result.students], axis=1)
    for name, count in counts.items():
        if int(count.sum(dtype=object)) >= MAX_TOTAL:
            raise InputError(
                f"{name} of all samples add up to 2^53 or more, too many to be summed exactly; "
                "run fewer samples with --samples"
            )
    outputs = [trace.outputs for trace in traces]
    timed = _timed(result, max(floors.values(), default=0.0))
    return Recorded(weight_bits, head, parts(head, outputs), result.labels, counts, gate, timed)


def _timed(result: RunResult, floor_s: float) -> Timed | None:
    placed = tuple(student.placed for student in result.students if student.placed is not None)
    each = () if result.placed is None else result.placed.each
    return Timed(placed, each, floor_s) if len(placed) == len(each) == len(result.students) else None


def _counted(traces: Sequence[Any], name: str) -> list[Array]:
    """A count of every student; nothing where one of them has not got it."""
    found = [getattr(trace, name) for trace in traces]
    return [] if any(one is None for one in found) else found
