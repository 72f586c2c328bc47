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
from experiments.study.ceiling import ceiling
from experiments.study.family import family_rows, smallest_reaching
from experiments.study.noise import mean_drops, noise_rows
from experiments.study.operating_points import (
    FittedPoint,
    OperatingPoint,
    cascade,
    first_students,
    fitted_points,
    gate_points,
    priced_gates,
    run_all,
)
from experiments.study.summary import measure
from experiments.study.twins import train_twins, twin_rows
from sne_deploy.distill.command import provenance
from sne_deploy.distill.policy.deploy import gate_training
from sne_deploy.distill.run import Distilled, run_experiment
from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
"""Confidences at which the cascade is measured."""
DROPS = (0.01, 0.02, 0.03)
"""Allowed drops of accuracy against the teacher, as fractions, of the operating points."""
PRICES = (0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Cross-entropies, in nats, that all students may cost a gate."""
GATE_SAMPLES = 20_000
"""Training images that gates learn from, at most."""


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
            "test": _on_test(ensemble, teacher, task, verify),
        }

    return Measurement(f"deployed, {verify} verified", take)


def activation(verify: int) -> Measurement:
    """As :func:`deployed`, and the accuracy and costs of the first 1 to K students in the policy's order.

    Beside them the accuracy of students that make no error, see :mod:`experiments.study.ceiling`.
    """

    def take(task: Task) -> Figures:
        distilled = run_experiment(task.experiment, task.work, task.log)
        ensemble, teacher = _saved(task, distilled)
        x, y = task.test(ensemble)
        splits = task.splits()
        return {
            "test": _on_test(ensemble, teacher, task, verify),
            "first": _rows(first_students(run_all(ensemble, x, y, weight_bits=task.bits))),
            "exact": ceiling(task.experiment, distilled, (splits.x, splits.y), (torch.tensor(x), y)),
        }

    return Measurement(f"activation, exact, {verify} verified", take)


def model_figures(subject: Subject, verify: int) -> Measurement:
    """A model's figures, along its students, the cascade's thresholds and gates; its operating points."""

    def take(task: Task) -> Figures:
        ensemble, teacher = subject.get(task)
        splits, (x, y) = task.splits(), task.test(ensemble)
        held_out = splits.x_validation.numpy(), splits.y_validation
        test, validation = (
            run_all(ensemble, *data, teacher=teacher, weight_bits=task.bits) for data in ((x, y), held_out)
        )
        seen = splits.x[:GATE_SAMPLES].numpy(), splits.y[:GATE_SAMPLES].numpy()
        described = gate_training(task.experiment)
        gates = priced_gates(ensemble, *seen, PRICES, described, weight_bits=task.bits)
        return {
            "test": _on_test(ensemble, teacher, task, verify),
            "first": _rows(first_students(test)),
            "cascade": _rows(cascade(test, THRESHOLDS)),
            "gates": [
                {"price": price, "trained_on": len(seen[1]), **row}
                for price, row in zip(PRICES, _rows(gate_points(test, gates, x)), strict=True)
            ],
            "fitted": _rows(fitted_points(validation, test, DROPS)),
        }

    return Measurement(f"model, gates at {list(PRICES)}, {subject.name}, {verify} verified", take)


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


def companions(subject: Subject, widths: Sequence[int]) -> Measurement:
    """ReLU twins of the students, and smaller networks of the teacher's family."""

    def take(task: Task) -> Figures:
        ensemble, teacher = subject.get(task)
        x, y = task.test(ensemble)
        first = _rows(first_students(run_all(ensemble, x, y, teacher=teacher, weight_bits=task.bits)))
        twins = train_twins(task.experiment, ensemble, teacher, task.work, log=task.log)
        family = family_rows(task.experiment, tuple(widths), x, y, task.work, log=task.log)
        smallest = smallest_reaching(family, first[-1]["accuracy"])
        return {
            "first": first,
            "twins": [asdict(row) for row in twin_rows(twins, x, y)],
            "family": [asdict(row) for row in family],
            "smallest": None if smallest is None else asdict(smallest),
        }

    return Measurement(f"companions, widths {list(widths)}, {subject.name}", take)


def _rows(points: Sequence[OperatingPoint] | Sequence[FittedPoint]) -> list[Figures]:
    return [point.row() for point in points]


def _on_validation(ensemble: sne.Ensemble, task: Task) -> Figures:
    splits = task.splits()
    return measure(ensemble, splits.x_validation.numpy(), splits.y_validation, (task.bits,))[0]


def _on_test(ensemble: sne.Ensemble, teacher: Path, task: Task, verify: int) -> Figures:
    return measure(ensemble, *task.test(ensemble), (task.bits,), teacher=teacher, verify=verify)[0]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
