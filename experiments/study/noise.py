"""How much accuracy teacher and ensemble lose on noisy images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import sne_deploy as sne
from experiments.study.corruptions import RANDOM, corrupt
from sne_deploy.distill.schema.corruptions import FAMILIES
from sne_deploy.distill.schema.noise import NoiseModel
from sne_deploy.errors import InputError
from sne_deploy.report.file import Report

Array = npt.NDArray[Any]
CLEAN, ALL = "clean", "all"
"""Not families: the images as they are, and all families together."""


@dataclass(frozen=True)
class FamilyDrop:
    """Relative drop, (clean - noisy) / clean, which is negative where noise helps.

    A mean over the strengths of a family, or over all families; or that of one strength. ``seed``: of the
    noise; what is not random has the first one.
    """

    family: str
    seed: int
    teacher_drop: float
    ensemble_drop: float


@dataclass(frozen=True)
class NoiseRow(FamilyDrop):
    """Teacher and ensemble, as deployed with its own policy, on the same images.

    ``mean_students`` ran; ``synops`` are per sample.
    """

    strength: float
    samples: int
    teacher_accuracy: float
    ensemble_accuracy: float
    mean_students: float
    synops: float


def noise_rows(
    ensemble: sne.Ensemble,
    teacher: str | os.PathLike[str],
    x: Array,
    y: Array,
    grid: NoiseModel,
    *,
    weight_bits: int = 8,
) -> list[NoiseRow]:
    """Measure teacher and deployed ensemble on clean images, which come first, and at every strength.

    Each strength of a family that is random has a row for each of the grid's draws.

    Parameters
    ----------
    ensemble : Ensemble
    teacher : path
        ONNX file.
    x : float32 array of shape (N, C, H, W)
        In [0, 1].
    y : int64 array of shape (N,)
    grid : NoiseModel
    weight_bits : int

    Raises
    ------
    InputError
        The grid asks for more samples than there are, or nothing is right on clean images.
    """
    if grid.samples is not None and grid.samples > len(x):
        raise InputError(f"noise.samples {grid.samples}: there are {len(x)}; ask for as many or fewer")
    x, y = np.asarray(x[: grid.samples], np.float32), y[: grid.samples]
    rows: list[NoiseRow] = []
    with sne.compile(ensemble, "loihi", weight_bits=weight_bits, fidelity=False) as compiled:
        for family, strength, seed, noisy in _versions(x, grid):
            report = compiled.run(noisy, y, teacher=teacher).report
            rows.append(_row(family, strength, seed, report, rows[0] if rows else None))
    return rows


def _versions(x: Array, grid: NoiseModel) -> Iterator[tuple[str, float, int, Array]]:
    yield CLEAN, 0.0, grid.seed, x
    for family in FAMILIES:
        for strength in getattr(grid, family):
            for draw in range(grid.draws if family in RANDOM else 1):
                yield family, strength, grid.seed + draw, corrupt(x, family, strength, grid.seed + draw)


def _row(family: str, strength: float, seed: int, report: Report, clean: NoiseRow | None) -> NoiseRow:
    """One row; ``clean`` is None for the clean images themselves."""
    ours = report.ensemble
    if report.teacher is None or report.teacher.accuracy is None or ours.accuracy is None:
        raise InputError("noise: accuracies need labels and a teacher; give both")
    teacher, ensemble = report.teacher.accuracy, ours.accuracy
    if clean is None and not (teacher and ensemble):
        raise InputError(
            f"noise: on clean images the teacher reaches {teacher:.1%}, the ensemble {ensemble:.1%}; give "
            "the data that they were made for"
        )
    return NoiseRow(
        family=family,
        strength=strength,
        seed=seed,
        samples=report.data.samples,
        teacher_accuracy=teacher,
        ensemble_accuracy=ensemble,
        teacher_drop=0.0 if clean is None else 1.0 - teacher / clean.teacher_accuracy,
        ensemble_drop=0.0 if clean is None else 1.0 - ensemble / clean.ensemble_accuracy,
        mean_students=ours.mean_active_students,
        synops=ours.synops_per_sample or 0.0,
    )


def mean_drops(rows: Sequence[NoiseRow]) -> list[FamilyDrop]:
    """For each draw: mean relative drop of each family that has rows, and of them all.

    Strengths weigh the same, and so do families. What is not random is the same in every draw.
    """
    return [drop for seed in sorted({row.seed for row in rows}) for drop in _drops_of_draw(rows, seed)]


def _drops_of_draw(rows: Sequence[NoiseRow], seed: int) -> list[FamilyDrop]:
    own = {
        family: [row for row in rows if row.family == family and (row.seed == seed or family not in RANDOM)]
        for family in FAMILIES
    }
    found = [_mean_drop(family, seed, same) for family, same in own.items() if same]
    return [*found, _mean_drop(ALL, seed, found)] if found else []


def _mean_drop(family: str, seed: int, drops: Sequence[FamilyDrop]) -> FamilyDrop:
    teacher = [one.teacher_drop for one in drops]
    ensemble = [one.ensemble_drop for one in drops]
    return FamilyDrop(family, seed, float(np.mean(teacher)), float(np.mean(ensemble)))
