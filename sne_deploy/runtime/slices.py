"""A test set larger than memory, slice by slice, next to its reference: the same result as all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sne_deploy.ir.program import Program
from sne_deploy.memory import available_bytes
from sne_deploy.runtime.agreement import LayerComparisons, SpikeComparison, compare_spikes
from sne_deploy.runtime.result import RunResult, join_runs

Run = Callable[[slice], RunResult]

SLICE_BYTES = 2**28
"""Encoded input, recorded spikes, times of steps and counts of one slice, unless a single sample has more."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A run of the floating-point reference, and how alike its spikes were.

    Attributes
    ----------
    run : RunResult
        Its predictions alone, without students and logits.
    layers : LayerComparisons
        Over the samples that a student ran on in both.
    """

    run: RunResult
    layers: LayerComparisons


def slice_bytes() -> int:
    """What a slice may take: SLICE_BYTES, or an eighth of what is left where that is less."""
    left = available_bytes()
    return SLICE_BYTES if left is None else min(SLICE_BYTES, left // 8)


def sample_slices(programs: Sequence[Program], samples: int, *, recorded: bool) -> Iterator[slice]:
    """Consecutive slices that keep what is held of their samples within :func:`slice_bytes`."""
    size = max(1, slice_bytes() // max(1, bytes_per_sample(programs, recorded=recorded)))
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))


def bytes_per_sample(programs: Sequence[Program], *, recorded: bool) -> int:
    """Encoded input and counts of a sample; recorded spikes and times of steps."""
    first = programs[0]
    found = math.prod(first.sample_shape) * (1 if first.spike_input else 8)
    found += sum(counted_bytes(program) for program in programs)
    if recorded:
        spikes = sum(group.size for program in programs for group in program.groups if group.spiking)
        found += 2 * first.timesteps * spikes
        found += sum(16 * (first.timesteps + program.max_depth) for program in programs)
    return found


def counted_bytes(program: Program) -> int:
    """Counts and outputs of a student on one sample, 8 bytes each, before they are packed."""
    return 8 * (6 * len(program.groups) + 3 * program.output_size + 16)


def run_slices(
    slices: Iterable[slice], run: Run, reference: Run | None, *, keep: bool
) -> tuple[RunResult, Compared | None]:
    """Run slice after slice, in the reference too; only one slice's recordings are in memory at a time.

    Parameters
    ----------
    slices : iterable of slice
        Consecutive samples.
    run, reference : callable
        Give the RunResult of a slice; with recorded spikes where there is a reference.
    keep : bool
        Whether the joined run keeps its recordings.
    """
    runs: list[RunResult] = []
    references: list[RunResult] = []
    layers: dict[str, dict[str, SpikeComparison]] = {}
    for part in slices:
        ours = run(part)
        if reference is not None:
            theirs = reference(part)
            _count(layers, ours, theirs)
            references.append(_answers(theirs))
        runs.append(ours if keep else _without_recordings(ours))
    compared = None if reference is None else Compared(join_runs(references), layers)
    return join_runs(runs), compared


def _count(tally: dict[str, dict[str, SpikeComparison]], ours: RunResult, theirs: RunResult) -> None:
    """Add a slice's spikes in both and in either, per student and layer; a graph may have them in a row."""
    for fixed, real in zip(ours.students, theirs.students, strict=True):
        ran = fixed.active & real.active
        if not bool(ran.any()):
            continue
        layers, whole, recorded = tally.setdefault(fixed.name, {}), bool(ran.all()), real.spikes
        for layer, spikes in fixed.spikes.items():
            if layer in recorded:
                a, b = (spikes, recorded[layer]) if whole else (spikes[ran], recorded[layer][ran])
                found = compare_spikes(*(each.reshape(*each.shape[:2], -1) for each in (a, b)))
                layers[layer] = layers[layer] + found if layer in layers else found


def _answers(run: RunResult) -> RunResult:
    return replace(run, students=(), logits=run.logits[:, :0], placed=None)


def _without_recordings(run: RunResult) -> RunResult:
    return replace(
        run, students=tuple(replace(each, trace=each.trace.without_recordings()) for each in run.students)
    )
