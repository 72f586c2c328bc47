"""A run next to its floating-point reference, slice by slice, with what is needed to compare the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.report.agreement import LayerComparisons, SpikeComparison, compare_spikes
from sne_deploy.runtime.result import RunResult
from sne_deploy.runtime.slices import merge_runs

Array = npt.NDArray[Any]
Run = Callable[[slice], RunResult]


def run_slices(slices: Iterable[slice], run: Run, *, keep_spikes: bool) -> RunResult:
    """Run slice after slice and join."""
    return merge_runs([_kept(run(part), keep_spikes) for part in slices])


def run_and_compare(
    slices: Iterable[slice], run: Run, reference: Run, *, keep_spikes: bool
) -> tuple[RunResult, RunResult, LayerComparisons]:
    """Run both on slice after slice; only one slice's recorded spikes are in memory at a time.

    Parameters
    ----------
    slices : iterable of slice
        Consecutive samples.
    run, reference : callable
        Give the RunResult of a slice, with recorded spikes.
    keep_spikes : bool
        Whether the joined run keeps its spikes.

    Returns
    -------
    run, reference : RunResult
    comparisons : LayerComparisons
        Over the samples that a student ran on in both.
    """
    runs: list[RunResult] = []
    references: list[RunResult] = []
    tally: dict[str, dict[str, SpikeComparison]] = {}
    for part in slices:
        ours, theirs = run(part), reference(part)
        _count(tally, ours, theirs)
        runs.append(_kept(ours, keep_spikes))
        references.append(_kept(theirs, keep_spikes=False))
    return merge_runs(runs), merge_runs(references), tally


def _count(tally: dict[str, dict[str, SpikeComparison]], ours: RunResult, theirs: RunResult) -> None:
    """Add a slice's spikes in both and in either, per student and layer."""
    for fixed, real in zip(ours.students, theirs.students, strict=True):
        ran = fixed.active & real.active
        if not bool(np.any(ran)):
            continue
        layers = tally.setdefault(fixed.name, {})
        for layer, spikes in fixed.spikes.items():
            if layer in real.spikes:
                found = compare_spikes(spikes[ran], real.spikes[layer][ran])
                layers[layer] = layers[layer] + found if layer in layers else found


def _kept(run: RunResult, keep_spikes: bool) -> RunResult:
    if keep_spikes:
        return run
    return replace(run, students=tuple(replace(student, spikes={}) for student in run.students))
