"""A test set larger than memory, slice by slice: the same result as all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import Program
from sne_deploy.runtime.result import LayerCounts, RunResult, StudentResult
from sne_deploy.runtime.run import run_warnings

Array = npt.NDArray[Any]

SLICE_BYTES = 2**28
"""Encoded input and recorded spikes of one slice, at most, unless a single sample has more."""


def sample_slices(programs: Sequence[Program], samples: int, *, recorded: bool) -> Iterator[slice]:
    """Consecutive slices that keep encoded input and recorded spikes within SLICE_BYTES."""
    first = programs[0]
    per_sample = first.input.size * (8 if first.constant_input else first.timesteps)
    if recorded:
        spikes = sum(group.size for program in programs for group in program.groups if group.spiking)
        per_sample += 2 * first.timesteps * spikes
    size = max(1, SLICE_BYTES // max(1, per_sample))
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))


def merge_runs(parts: Sequence[RunResult]) -> RunResult:
    """Join runs of consecutive samples; recorded spikes are joined too.

    Parameters
    ----------
    parts : sequence of RunResult
        At least one, of the same students.
    """
    if len(parts) == 1:
        return parts[0]
    labels = [part.labels for part in parts if part.labels is not None]
    students = tuple(_merge_students(same) for same in zip(*(part.students for part in parts), strict=True))
    return RunResult(
        students=students,
        logits=np.concatenate([part.logits for part in parts]),
        predictions=np.concatenate([part.predictions for part in parts]),
        active=np.concatenate([part.active for part in parts]),
        labels=np.concatenate(labels) if labels else None,
        head_macs=np.concatenate([part.head_macs for part in parts]),
        gate_macs=np.concatenate([part.gate_macs for part in parts]),
        wall_s=sum(part.wall_s for part in parts),
        warnings=run_warnings(students),
    )


def _merge_students(same: Sequence[StudentResult]) -> StudentResult:
    alone = [_alone(student) for student in same]
    return replace(
        same[0],
        active=np.concatenate([student.active for student in same]),
        outputs=np.concatenate([student.outputs for student in same]),
        alone=np.concatenate(alone) if any(student.alone is not None for student in same) else None,
        layers=tuple(
            _merge_layers(layers) for layers in zip(*(student.layers for student in same), strict=True)
        ),
        input_spikes=np.concatenate([student.input_spikes for student in same]),
        host_macs=np.concatenate([student.host_macs for student in same]),
        spikes=_merge_spikes(same),
        saturated_inputs=sum(student.saturated_inputs for student in same),
    )


def _alone(student: StudentResult) -> Array:
    """Where a student never ran in a slice it has no predictions there: -1, as for every such sample."""
    return np.full(len(student.active), -1, np.int64) if student.alone is None else student.alone


def _merge_spikes(same: Sequence[StudentResult]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    shapes = {name: spikes.shape[1:] for student in same for name, spikes in student.spikes.items()}
    for name, shape in shapes.items():
        parts = [
            student.spikes.get(name, np.zeros((len(student.active), *shape), dtype=bool)) for student in same
        ]
        found[name] = np.concatenate(parts)
    return found


def _merge_layers(same: Sequence[LayerCounts]) -> LayerCounts:
    return replace(
        same[0],
        synops=np.concatenate([layer.synops for layer in same]),
        spikes=np.concatenate([layer.spikes for layer in same]),
        updates_active=_merge_updates(same, "updates_active"),
        updates_idle=_merge_updates(same, "updates_idle"),
    )


def _merge_updates(same: Sequence[LayerCounts], field: str) -> Array | None:
    values = [getattr(layer, field) for layer in same]
    if all(value is None for value in values):
        return None
    zeros = [np.zeros(len(layer.synops), np.int64) for layer in same]
    return np.concatenate(
        [zero if value is None else value for value, zero in zip(values, zeros, strict=True)]
    )
