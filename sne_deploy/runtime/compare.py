"""A run next to its floating-point reference, slice by slice, with what is needed to compare the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.report.agreement import agreement_counts, agreement_of
from sne_deploy.runtime.result import RunResult
from sne_deploy.runtime.slices import merge_runs

Array = npt.NDArray[Any]
Run = Callable[[slice], RunResult]
LayerAgreement = Mapping[str, Mapping[str, float]]
"""Student name to layer name to the agreement of its floating-point and fixed-point spikes."""


def run_slices(slices: Iterable[slice], run: Run, *, keep_spikes: bool) -> RunResult:
    """Run slice after slice and join."""
    return merge_runs([_kept(run(part), keep_spikes) for part in slices])


def run_and_compare(
    slices: Iterable[slice], run: Run, reference: Run, *, keep_spikes: bool
) -> tuple[RunResult, RunResult, LayerAgreement]:
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
    agreement : LayerAgreement
        Over the samples that a student ran on in both.
    """
    runs: list[RunResult] = []
    references: list[RunResult] = []
    tally: dict[str, dict[str, tuple[int, int]]] = {}
    for part in slices:
        ours, theirs = run(part), reference(part)
        _count(tally, ours, theirs)
        runs.append(_kept(ours, keep_spikes))
        references.append(_kept(theirs, keep_spikes=False))
    agreement = {
        student: {layer: agreement_of(*counts) for layer, counts in layers.items()}
        for student, layers in tally.items()
    }
    return merge_runs(runs), merge_runs(references), agreement


def _count(tally: dict[str, dict[str, tuple[int, int]]], ours: RunResult, theirs: RunResult) -> None:
    """Add a slice's spikes in both and in either, per student and layer."""
    for fixed, real in zip(ours.students, theirs.students, strict=True):
        ran = fixed.active & real.active
        if not bool(np.any(ran)):
            continue
        layers = tally.setdefault(fixed.name, {})
        for layer, spikes in fixed.spikes.items():
            if layer in real.spikes:
                both, either = agreement_counts(spikes[ran], real.spikes[layer][ran])
                before = layers.get(layer, (0, 0))
                layers[layer] = (before[0] + both, before[1] + either)


def _kept(run: RunResult, keep_spikes: bool) -> RunResult:
    if keep_spikes:
        return run
    return replace(run, students=tuple(replace(student, spikes={}) for student in run.students))
