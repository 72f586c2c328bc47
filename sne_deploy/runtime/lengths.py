"""Samples of different lengths: each runs for its own steps alone, together with others that last as long.

So nothing that comes after a sample's end is computed or counted, whatever the target: it is what the same
Program with so many steps gives for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import Program
from sne_deploy.runtime.placed import PlacedCounts, PlacedTime
from sne_deploy.runtime.result import RunResult, StudentResult
from sne_deploy.runtime.trace import LayerTrace, Trace

Array = npt.NDArray[Any]
PerSample = TypeVar("PerSample", RunResult, StudentResult)


def alike(slices: Iterable[slice], lengths: Array) -> Iterator[slice]:
    """The same consecutive samples, which are sorted by length, in slices of one length each."""
    for part in slices:
        found = lengths[part]
        ends = [*(np.flatnonzero(np.diff(found)) + 1), len(found)]
        for first, last in pairwise([0, *ends]):
            yield slice(part.start + int(first), part.start + int(last))


def of_whole_length(run: RunResult, programs: Sequence[Program]) -> RunResult:
    """A run of shorter Programs as one of these: recordings are silent, or 0, after a sample's end."""
    students = tuple(
        replace(student, program=program, trace=_padded(student.trace, program.timesteps))
        for student, program in zip(run.students, programs, strict=True)
    )
    return replace(run, students=students)


def _padded(trace: Trace, timesteps: int) -> Trace:
    return replace(trace, layers=tuple(_padded_layer(layer, timesteps) for layer in trace.layers))


def _padded_layer(layer: LayerTrace, timesteps: int) -> LayerTrace:
    def padded(values: Array | None) -> Array | None:
        if values is None:
            return None
        after = timesteps - values.shape[1]
        return np.pad(values, [(0, 0), (0, after), *[(0, 0)] * (values.ndim - 2)])

    return replace(
        layer,
        recorded_spikes=padded(layer.recorded_spikes),
        recorded_u=padded(layer.recorded_u),
        recorded_v=padded(layer.recorded_v),
    )


def in_order(run: PerSample, order: Array) -> PerSample:
    """The samples of a run in the order in which they were, of which ``order`` was taken."""
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    changes: dict[str, Any] = {}
    for part in fields(run):
        value = getattr(run, part.name)
        if isinstance(value, np.ndarray):
            changes[part.name] = value[back]
        elif isinstance(value, Trace | PlacedCounts | PlacedTime):
            changes[part.name] = value.take(back)
        elif part.name == "students":
            changes[part.name] = tuple(in_order(student, order) for student in value)
    return replace(run, **changes)
