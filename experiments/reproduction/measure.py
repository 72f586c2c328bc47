"""Measurements of a run: a candidate on validation data; a trained or a given ensemble on the test data.

Everything is measured as deployed: integers on target ``loihi``. A candidate for a choice never sees the
test data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

import sne_deploy as sne
from experiments.reproduction.rows import Figures
from experiments.reproduction.runs import Measurement, Task
from experiments.study.ceiling import FITTED, ceiling, kept_features, own_accuracy
from experiments.study.noise import mean_drops, noise_rows
from experiments.study.operating_points import (
    FittedPoint,
    OperatingPoint,
    first_students,
    run_all,
)
from experiments.study.summary import measure
from sne_deploy.distill.command import provenance
from sne_deploy.distill.run import Distilled, run_experiment
from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Subject:
    """What a model's study measures: ``model.pt`` and its teacher as ONNX, or what the experiment trains."""

    model: Path | None = None
    teacher: Path | None = None

    def __post_init__(self) -> None:
        if (self.model is None) != (self.teacher is None):
            raise InputError("--model and --teacher go together: give both, or neither to train them")

    @property
    def name(self) -> str:
        """The same for the same bytes."""
        if self.model is None or self.teacher is None:
            return "trained by this command"
        model, teacher = (_sha256(path)[:12] for path in (self.model, self.teacher))
        return f"`{self.model.name}` of SHA-256 {model}..., `{self.teacher.name}` of {teacher}..."

    def get(self, task: Task) -> tuple[sne.Ensemble, Path]:
        """The ensemble and its teacher's file."""
        if self.model is None or self.teacher is None:
            return trained(task)
        return sne.load(self.model), self.teacher


def trained(task: Task) -> tuple[sne.Ensemble, Path]:
    """Train an ensemble; ``model.pt`` lies in the run's folder, its teacher in the work folder."""
    return _saved(task, run_experiment(task.experiment, task.work, task.log))


def _saved(task: Task, distilled: Distilled) -> tuple[sne.Ensemble, Path]:
    ensemble = replace(distilled.ensemble, provenance=provenance(task.experiment, distilled))
    ensemble.save(task.folder / "model.pt")
    if task.experiment.teacher.onnx is not None:
        return ensemble, Path(task.experiment.teacher.onnx)
    teacher = task.work / f"teacher-{_parameters(distilled.teacher)[:12]}.onnx"
    if not teacher.exists():
        save_teacher_onnx(distilled.teacher, teacher, ensemble.input_shape)
    return ensemble, teacher


def _parameters(module: nn.Module) -> str:
    """A digest of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.numpy(force=True).tobytes())
    return digest.hexdigest()


def candidate() -> Measurement:
    """Accuracy and costs on the validation data alone."""

    def take(task: Task) -> Figures:
        ensemble = run_experiment(task.experiment, task.work, task.log).ensemble
        return {"validation": _on_validation(ensemble, task)}

    return Measurement("candidate", take)


def deployed(verify: int) -> Measurement:
    """Accuracy in floating point and as integers, costs, and a comparison with Lava, on the test data.

    ``verify``: samples that are also run on ``lava`` and compared bit for bit.
    """

    def take(task: Task) -> Figures:
        ensemble, teacher = trained(task)
        return {
            "validation": _on_validation(ensemble, task),
            "test": on_test(ensemble, teacher, task, verify),
        }

    return Measurement(f"deployed, {verify} verified", take)


def activation(verify: int) -> Measurement:
    """Accuracy and costs on the test data, also of the first 1 to K students in the policy's order.

    Beside them the accuracy of students that make no error, see :mod:`experiments.study.ceiling`.
    """

    def take(task: Task) -> Figures:
        distilled = run_experiment(task.experiment, task.work, task.log)
        ensemble, teacher = _saved(task, distilled)[0], distilled.teacher
        (x, y), splits = task.test(ensemble), task.splits()
        taken = splits.x[:FITTED], torch.tensor(x)
        precision = task.experiment.teacher.schedule.precision
        seen, unseen = (kept_features(task.work, teacher, each, precision) for each in taken)
        test = measure(ensemble, x, y, (task.bits,), verify=verify)[0]
        return {
            "test": {**test, "teacher_accuracy": own_accuracy(teacher, unseen, y)},
            "first": rows_of(first_students(run_all(ensemble, x, y, weight_bits=task.bits))),
            "exact": ceiling(distilled, (seen, unseen), (splits.y[:FITTED].numpy(), y)),
        }

    return Measurement(f"activation, exact, {verify} verified", take)


def weight_bits(subject: Subject, bits: Sequence[int], verify: int) -> Measurement:
    """A model whose weights are rounded to fewer bits, and nothing else changed."""

    def take(task: Task) -> Figures:
        ensemble, teacher = subject.get(task)
        return {"bits": measure(ensemble, *task.test(ensemble), bits, teacher=teacher, verify=verify)}

    return Measurement(f"bits {list(bits)}, {subject.name}, {verify} verified", take)


def noise(subject: Subject) -> Measurement:
    """A model and its teacher on corrupted test images; the grid is the experiment's."""

    def take(task: Task) -> Figures:
        grid = task.experiment.noise
        if grid is None:
            raise InputError(f"{task.experiment.name}: the experiment has no section [noise]; add one")
        ensemble, teacher = subject.get(task)
        rows = noise_rows(ensemble, teacher, *task.test(ensemble), grid, weight_bits=task.bits)
        return {"noise": list(map(asdict, rows)), "mean_drops": list(map(asdict, mean_drops(rows)))}

    return Measurement(f"noise, {subject.name}", take)


def rows_of(points: Sequence[OperatingPoint] | Sequence[FittedPoint]) -> list[Figures]:
    """Points as plain figures."""
    return [point.row() for point in points]


def _on_validation(ensemble: sne.Ensemble, task: Task) -> Figures:
    splits = task.splits()
    return measure(ensemble, splits.x_validation.numpy(), splits.y_validation, (task.bits,))[0]


def on_test(ensemble: sne.Ensemble, teacher: Path, task: Task, verify: int) -> Figures:
    """Figures on the test data; ``verify`` samples are compared with Lava."""
    return measure(ensemble, *task.test(ensemble), (task.bits,), teacher=teacher, verify=verify)[0]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
