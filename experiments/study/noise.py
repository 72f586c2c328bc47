"""How much accuracy teacher and ensemble lose on noisy images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import sne_deploy as sne
from experiments.study.corruptions import corrupt
from sne_deploy.distill.experiment import NoiseModel
from sne_deploy.distill.schema.corruptions import FAMILIES
from sne_deploy.errors import InputError
from sne_deploy.report.file import Report

Array = npt.NDArray[Any]
CLEAN, ALL = "clean", "all"
"""Not families: the images as they are, and all families together."""


@dataclass(frozen=True)
class FamilyDrop:
    """Relative drop, (clean - noisy) / clean, which is negative where noise helps.

    A mean over the strengths of a family, or over all families; or that of one strength.
    """

    family: str
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
        for family, strength, noisy in _versions(x, grid):
            report = compiled.run(noisy, y, teacher=teacher).report
            rows.append(_row(family, strength, report, rows[0] if rows else None))
    return rows


def _versions(x: Array, grid: NoiseModel) -> Iterator[tuple[str, float, Array]]:
    yield CLEAN, 0.0, x
    for family in FAMILIES:
        for strength in getattr(grid, family):
            yield family, strength, corrupt(x, family, strength, grid.seed)


def _row(family: str, strength: float, report: Report, clean: NoiseRow | None) -> NoiseRow:
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
        samples=report.data.samples,
        teacher_accuracy=teacher,
        ensemble_accuracy=ensemble,
        teacher_drop=0.0 if clean is None else 1.0 - teacher / clean.teacher_accuracy,
        ensemble_drop=0.0 if clean is None else 1.0 - ensemble / clean.ensemble_accuracy,
        mean_students=ours.mean_active_students,
        synops=ours.synops_per_sample or 0.0,
    )


def mean_drops(rows: Sequence[NoiseRow]) -> list[FamilyDrop]:
    """Mean relative drop of each family that has rows, and of them all, each family weighing the same."""
    own = {family: [row for row in rows if row.family == family] for family in FAMILIES}
    found = [_mean_drop(family, same) for family, same in own.items() if same]
    return [*found, _mean_drop(ALL, found)] if found else []


def _mean_drop(family: str, drops: Sequence[FamilyDrop]) -> FamilyDrop:
    teacher = [one.teacher_drop for one in drops]
    ensemble = [one.ensemble_drop for one in drops]
    return FamilyDrop(family, float(np.mean(teacher)), float(np.mean(ensemble)))
