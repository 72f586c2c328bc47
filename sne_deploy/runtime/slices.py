"""A test set larger than memory, slice by slice, next to its reference: the same result as all at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from sne_deploy.ir.program import Program
from sne_deploy.memory import available_bytes
from sne_deploy.runtime.agreement import LayerComparisons, SpikeComparison, compare_spikes
from sne_deploy.runtime.packed import FROM
from sne_deploy.runtime.result import RunResult, join_runs

Run = Callable[[slice], RunResult]

SLICE_BYTES = 2**28
"""Encoded input, recorded spikes, times of steps and counts of one slice, unless a single sample has more."""
SLICE_SAMPLES = 2 * FROM
"""Of one slice, at most: with more it is no faster."""


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
    size = slice_samples(programs, recorded=recorded)
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))


def slice_samples(programs: Sequence[Program], *, recorded: bool) -> int:
    """How many samples a slice has, at most."""
    size = slice_bytes() // max(1, bytes_per_sample(programs, recorded=recorded))
    return max(1, min(size, SLICE_SAMPLES))


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


@dataclass(frozen=True, eq=False)
class Part:
    """What consecutive samples gave, from ``first`` to before ``last``.

    Attributes
    ----------
    first, last : int
    run : RunResult
    reference : RunResult or None
        Its answers alone.
    layers : LayerComparisons
    seconds : float
        That it took, the reference and the counting on cores included.
    """

    first: int
    last: int
    run: RunResult
    reference: RunResult | None
    layers: LayerComparisons
    seconds: float


RunPart = Callable[[slice], Part]
Through = Callable[[Iterable[slice], RunPart], Iterable[Part]]
"""Goes through slices of samples: the parts in order, of these slices or of smaller ones, run or kept."""


def each_as_it_is(slices: Iterable[slice], one: RunPart) -> Iterator[Part]:
    """Run every slice."""
    return map(one, slices)


def run_slices(
    slices: Iterable[slice],
    run: Run,
    reference: Run | None,
    *,
    keep: bool,
    through: Through = each_as_it_is,
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
    through : callable
        Takes the slices, and what runs one of them.
    """

    def one(part: slice) -> Part:
        started = time.perf_counter()
        ours, theirs = run(part), None if reference is None else reference(part)
        return Part(
            first=part.start,
            last=part.stop,
            run=ours if keep else _without_recordings(ours),
            reference=None if theirs is None else _answers(theirs),
            layers={} if theirs is None else _compared(ours, theirs),
            seconds=time.perf_counter() - started,
        )

    joined: list[Part] = []
    few: list[Part] = []
    for part in through(slices, one):
        few.append(part)
        if part.last - few[0].first >= FROM:  # now they can be packed
            joined.append(join_parts(few))
            few = []
    whole = join_parts([*joined, *few])
    return whole.run, None if whole.reference is None else Compared(whole.reference, whole.layers)


def join_parts(parts: Sequence[Part]) -> Part:
    """Parts that follow each other, as one."""
    references = [part.reference for part in parts if part.reference is not None]
    return Part(
        first=parts[0].first,
        last=parts[-1].last,
        run=join_runs([part.run for part in parts]),
        reference=join_runs(references) if references else None,
        layers=reduce(_added, [part.layers for part in parts]),
        seconds=sum(part.seconds for part in parts),
    )


def _compared(ours: RunResult, theirs: RunResult) -> LayerComparisons:
    """A slice's spikes in both and in either, per student and layer; a graph may have them in a row."""
    tally: dict[str, dict[str, SpikeComparison]] = {}
    for fixed, real in zip(ours.students, theirs.students, strict=True):
        ran = fixed.active & real.active
        if not bool(ran.any()):
            continue
        layers, whole, recorded = tally.setdefault(fixed.name, {}), bool(ran.all()), real.spikes
        for layer, spikes in fixed.spikes.items():
            if layer in recorded:
                a, b = (spikes, recorded[layer]) if whole else (spikes[ran], recorded[layer][ran])
                layers[layer] = compare_spikes(*(each.reshape(*each.shape[:2], -1) for each in (a, b)))
    return tally


def _added(several: LayerComparisons, more: LayerComparisons) -> LayerComparisons:
    """Two comparisons of different samples, as one."""
    found = {student: dict(layers) for student, layers in several.items()}
    for student, layers in more.items():
        known = found.setdefault(student, {})
        for layer, comparison in layers.items():
            known[layer] = known[layer] + comparison if layer in known else comparison
    return found


def _answers(run: RunResult) -> RunResult:
    return replace(run, students=(), logits=run.logits[:, :0], placed=None)


def _without_recordings(run: RunResult) -> RunResult:
    return replace(
        run, students=tuple(replace(each, trace=each.trace.without_recordings()) for each in run.students)
    )
