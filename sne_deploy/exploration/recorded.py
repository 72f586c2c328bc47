"""What every student did on every sample: all that any activation policy's result follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.energy.accounting import COUNTED
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Gate, Head
from sne_deploy.runtime.head import head_macs, parts
from sne_deploy.runtime.result import RunResult

Array = npt.NDArray[Any]
MAX_TOTAL = 2**53
"""Counts are summed as float64, which is exact below this."""


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
        What each student adds, by the names of :class:`sne_deploy.energy.accounting.Counts`; its part of the
        head's host MACs is among its own. What is not counted on the target is not there.
    gate : GateRecord or None
    """

    weight_bits: int | None
    head: Head
    parts: tuple[Array, ...]
    labels: Array
    counts: Mapping[str, Array]
    gate: GateRecord | None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @property
    def students(self) -> int:
        """Number of students."""
        return len(self.parts)

    @cached_property
    def costs(self) -> Array:
        """The counts as float64 array of shape (students, quantities, N), in the order of ``counts``."""
        return np.stack([np.asarray(each, np.float64).T for each in self.counts.values()], axis=1)

    def taken(self, rows: Array) -> Recorded:
        """Some of the samples."""
        gate = self.gate and replace(self.gate, logits=self.gate.logits[rows], macs=self.gate.macs[rows])
        return replace(
            self,
            parts=tuple(part[rows] for part in self.parts),
            labels=self.labels[rows],
            counts={name: count[rows] for name, count in self.counts.items()},
            gate=gate,
        )


def recorded(result: RunResult, head: Head, weight_bits: int | None, gate: GateRecord | None) -> Recorded:
    """Take what matters from a run of all students on all samples.

    Raises
    ------
    InputError
        There are no labels, or counts too large to be summed exactly.
    """
    if result.labels is None:
        raise InputError("explore compares accuracies, and the data have no labels; give data with y")
    traces = [student.trace for student in result.students]
    counts = {name: np.stack(values, axis=1) for name in COUNTED if (values := _counted(traces, name))}
    sizes = [trace.outputs.shape[1] for trace in traces]
    every = np.eye(len(traces), dtype=bool)
    counts["host_macs"] = counts["host_macs"] + head_macs(head, sizes, every)
    for name, count in counts.items():
        if int(count.sum(dtype=object)) >= MAX_TOTAL:
            raise InputError(f"explore: {name} add up to 2^53 or more; run fewer samples with --samples")
    outputs = [trace.outputs for trace in traces]
    return Recorded(weight_bits, head, parts(head, outputs), result.labels, counts, gate)


def _counted(traces: Sequence[Any], name: str) -> list[Array]:
    """A count of every student; nothing where one of them has not got it."""
    found = [getattr(trace, name) for trace in traces]
    return [] if any(one is None for one in found) else found
