"""The smallest network of the teacher's own family that reaches an accuracy.

A teacher that is larger than its task needs makes any ratio against it large. What a small one of the same
family reaches, trained alike, says how much of a ratio is the teacher's size.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.stages import EpochLog

Array = npt.NDArray[Any]
FAMILIES = ("mlp", "cnn", "resnet9", "airbench")


@dataclass(frozen=True)
class FamilyRow:
    """One network of the teacher's architecture: accuracy on test samples, MACs as of a teacher."""

    width: int
    features: int
    epochs: int
    accuracy: float
    macs: int
    parameters: int


def family_rows(
    experiment: Experiment,
    widths: Sequence[int],
    x: Array,
    y: Array,
    work: str | os.PathLike[str],
    *,
    epochs: int | None = None,
    log: EpochLog = lambda *_: None,
) -> list[FamilyRow]:
    """Train the teacher's architecture at each width, as the teacher is trained, and measure it.

    The penultimate layer shrinks and grows with the width, but has at least one feature for each class. The
    state of each training is kept in ``work``: in an experiment's own work folder, the network of the
    teacher's width is the teacher, and is not trained again. ``epochs``: None for the teacher's.

    Raises
    ------
    InputError
        The teacher is another's, of which there is no architecture to train; or a width is not positive.
    """
    import torch

    from sne_deploy.distill.data.splits import load_splits
    from sne_deploy.files import ensure_folder

    if experiment.teacher.architecture not in FAMILIES:
        raise InputError(
            f"teacher.architecture {experiment.teacher.architecture!r} has no family to train; "
            f"give an experiment with one of {', '.join(FAMILIES)}"
        )
    if any(width < 1 for width in widths):
        raise InputError(f"family: widths {list(widths)} must be at least 1")
    folder = ensure_folder(Path(work))
    data = load_splits(experiment.data, experiment.seed).to(torch.device(experiment.device))
    return [
        _row(_resized(experiment, width, data.classes, epochs), data, x, y, folder, log) for width in widths
    ]


def _resized(experiment: Experiment, width: int, classes: int, epochs: int | None) -> Experiment:
    described = experiment.teacher
    schedule = described.schedule
    changed = described.model_copy(
        update={
            "width": width,
            "features": max(classes, round(described.features * width / described.width)),
            "schedule": schedule if epochs is None else schedule.model_copy(update={"epochs": epochs}),
        }
    )
    return experiment.model_copy(update={"teacher": changed})


def _row(experiment: Experiment, data: Splits, x: Array, y: Array, folder: Path, log: EpochLog) -> FamilyRow:
    from sne_deploy.distill.run import train_own_teacher
    from sne_deploy.distill.stages import Stages
    from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
    from sne_deploy.teacher.run import evaluate_teacher

    described = experiment.teacher
    stages = Stages(
        experiment, folder, lambda _, *epoch: log(f"width{described.width}", *epoch), own=data.digest
    )
    network = train_own_teacher(stages, data).cpu().eval()
    file = folder / f"teacher-{experiment.fingerprint('teacher')[:12]}.onnx"
    save_teacher_onnx(network, file, data.input_shape)
    found = evaluate_teacher(file, np.asarray(x), np.asarray(y))
    return FamilyRow(
        width=described.width,
        features=described.features,
        epochs=described.schedule.epochs,
        accuracy=float(found.accuracy or 0.0),
        macs=found.macs,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
