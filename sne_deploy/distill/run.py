"""From an experiment to a trained, deployable ensemble: every stage in order, each resumable.

data -> teacher -> its features -> partition (-> decorrelated teacher) -> students (-> together, through the
head) (-> with quantised weights) -> head -> policy -> Ensemble. A stage's state lies in the work folder after
each epoch, named after the stage and all that it depends on: what is finished there is not trained again,
also by another experiment whose stage is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.distill.architectures import student_network, teacher_network
from sne_deploy.distill.decorrelate import decorrelate_teacher
from sne_deploy.distill.deploy import deployable
from sne_deploy.distill.determinism import deterministic
from sne_deploy.distill.dropout import (
    ConstantDropout,
    FirstStudents,
    NoDropout,
    StudentDropout,
    UniformSubsets,
)
from sne_deploy.distill.evaluate import evaluate_student
from sne_deploy.distill.experiment_data import Splits, batch_transform, load_splits
from sne_deploy.distill.features import extract_features
from sne_deploy.distill.head import fit_head
from sne_deploy.distill.joint import JointTask, tune_together
from sne_deploy.distill.onnx_teacher import load_onnx_teacher
from sne_deploy.distill.partition import (
    Attribution,
    Contiguous,
    Correlation,
    FeatureSpace,
    PartitionStrategy,
    Random,
    partition,
)
from sne_deploy.distill.policy import FittedPolicy
from sne_deploy.distill.quantise_aware import tune_quantised
from sne_deploy.distill.resume import ResumePoint
from sne_deploy.distill.student import StudentLoss, StudentTask, train_student
from sne_deploy.distill.teacher import Teacher, train_teacher
from sne_deploy.distill.training import EpochCallback, Schedule
from sne_deploy.ensembles import Ensemble, Head
from sne_deploy.files import ensure_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sne_deploy.distill.experiment import Experiment, ScheduleModel

Array = npt.NDArray[Any]
EpochLog = Callable[[str, int, int, "dict[str, float]"], None]
"""Called as log(stage, epoch from 1, epochs, mean of every loss term)."""


@dataclass(frozen=True, eq=False)
class Distilled:
    """What an experiment gave.

    Attributes
    ----------
    ensemble : Ensemble
    teacher : Teacher
        In evaluation mode.
    parts : tuple of int arrays
        Teacher features of each student.
    fitted : FittedPolicy or None
        Where the policy was fitted.
    """

    ensemble: Ensemble
    teacher: Teacher
    parts: tuple[Array, ...]
    fitted: FittedPolicy | None


@dataclass(frozen=True, eq=False)
class _Stages:
    """Where stages keep their state, and who hears of their epochs."""

    experiment: Experiment
    folder: Path
    log: EpochLog

    def resume(self, name: str, *sections: str) -> ResumePoint:
        digest = self.experiment.fingerprint(*sections)
        return ResumePoint(self.folder / f"{name}-{digest[:12]}.pt", f"{name} {digest}")

    def heard(self, name: str, epochs: int) -> EpochCallback:
        return lambda epoch, terms: self.log(name, epoch + 1, epochs, dict(terms))

    def schedule(self, described: ScheduleModel, salt: int) -> Schedule:
        """A schedule with a seed of its own for each stage."""
        experiment = self.experiment
        seed = int(np.random.SeedSequence([experiment.seed, salt]).generate_state(1)[0])
        return Schedule(**described.model_dump(), seed=seed, threads=experiment.threads)


def distill(experiment: Experiment, work: Path, log: EpochLog = lambda *_: None) -> Distilled:
    """Run an experiment; the same experiment gives the same ensemble on the same machine.

    Parameters
    ----------
    experiment : Experiment
    work : Path
        A folder that keeps the state of every stage; several experiments may share it.
    log : callable

    Raises
    ------
    InputError, DataError
        Something in the experiment does not fit; names the key or the file.
    RunError
        A training diverged.
    """
    stages = _Stages(experiment, ensure_folder(work), log)
    data = load_splits(experiment.data, experiment.seed, experiment.students.copies)
    teacher = _teacher(stages, data)
    parts, teacher = _parts(stages, data, teacher)
    features, teacher_logits = _targets(stages, teacher, data.students_x)
    networks, head = _students(stages, data, parts, features, teacher_logits)
    ensemble, fitted = deployable(experiment, data, parts, networks, head)
    return Distilled(ensemble, teacher, parts, fitted)


def _teacher(stages: _Stages, data: Splits) -> Teacher:
    described = stages.experiment.teacher
    if described.onnx is not None:
        return load_onnx_teacher(Path(described.onnx))
    return train_teacher(
        lambda: teacher_network(described, data.input_shape, data.classes),
        data.x,
        data.y,
        stages.schedule(described.schedule, 1),
        stages.heard("teacher", described.schedule.epochs),
        label_smoothing=described.label_smoothing,
        transform=batch_transform(stages.experiment.data.augment),
        resume=stages.resume("teacher", "teacher"),
    ).module


def _parts(stages: _Stages, data: Splits, teacher: Teacher) -> tuple[tuple[Array, ...], Teacher]:
    """Divide the features; with a decorrelation weight, fine-tune the teacher to that division."""
    experiment = stages.experiment
    described = experiment.partition
    space = FeatureSpace(
        _features(stages, teacher, data.x).numpy(),
        data.y.numpy(),
        teacher.classifier.weight.detach().numpy(),
    )
    strategies: dict[str, PartitionStrategy] = {
        "contiguous": Contiguous(),
        "random": Random(experiment.seed),
        "correlation": Correlation(),
        "attribution": Attribution(),
    }
    parts = partition(strategies[described.strategy], space, experiment.students.count)
    if described.decorrelate and len(parts) > 1:
        epochs = described.decorrelate_epochs
        schedule = experiment.teacher.schedule.model_copy(
            update={"epochs": epochs, "learning_rate": experiment.teacher.schedule.learning_rate / 5}
        )
        teacher = decorrelate_teacher(
            teacher,
            data.x,
            data.y,
            parts,
            described.decorrelate,
            stages.schedule(schedule, 2),
            stages.heard("decorrelation", epochs),
            transform=batch_transform(experiment.data.augment),
            resume=stages.resume("decorrelation", "teacher", "partition", "students"),
        ).module
    return parts, teacher


def _features(stages: _Stages, teacher: Teacher, x: Tensor) -> Tensor:
    """The teacher's features, in the precision in which it was trained."""
    experiment = stages.experiment
    with deterministic(experiment.seed, experiment.threads):
        return extract_features(teacher, x, precision=experiment.teacher.schedule.precision)


def _targets(stages: _Stages, teacher: Teacher, x: Tensor) -> tuple[Tensor, Tensor]:
    """The teacher's features and logits."""
    features = _features(stages, teacher, x)
    with torch.no_grad():
        return features, teacher.classifier(features)


def _students(
    stages: _Stages, data: Splits, parts: Sequence[Array], features: Tensor, teacher_logits: Tensor
) -> tuple[list[nn.Module], Head | None]:
    """Each student by itself, then all together, then with quantised weights."""
    experiment = stages.experiment
    described, sections = experiment.students, ("teacher", "partition", "students")
    task = StudentTask(described.timesteps, described.readout, StudentLoss(**described.loss.model_dump()))
    slices = [features[:, torch.from_numpy(part)] for part in parts]
    networks: list[nn.Module] = []
    for index, targets in enumerate(slices):
        name = f"student{index}"
        trained = train_student(
            partial(student_network, described.layers, data.input_shape, targets.shape[1], described.dt_s),
            data.students_x,
            targets,
            data.students_y,
            task,
            stages.schedule(described.schedule, 100 + index),
            stages.heard(name, described.schedule.epochs),
            teacher_logits=teacher_logits,
            resume=stages.resume(name, *sections),
        )
        networks.append(trained.module)
    head = None
    if experiment.joint is not None:
        networks, head = _together(stages, data, networks, slices, teacher_logits)
    if experiment.quantisation.epochs:
        networks = [
            _quantised(stages, data, index, network, slices[index], teacher_logits, task)
            for index, network in enumerate(networks)
        ]
        head = None
    return networks, head


def _together(
    stages: _Stages,
    data: Splits,
    networks: Sequence[nn.Module],
    slices: Sequence[Tensor],
    teacher_logits: Tensor,
) -> tuple[list[nn.Module], Head]:
    experiment = stages.experiment
    joint, students = experiment.joint, experiment.students
    assert joint is not None  # noqa: S101  the caller asked
    before = [
        evaluate_student(network, data.students_x, students.timesteps, students.readout).outputs
        for network in networks
    ]
    dropout: dict[str, StudentDropout] = {
        "none": NoDropout(),
        "constant": ConstantDropout(),
        "uniform": UniformSubsets(),
        "order": FirstStudents(),
    }
    weights = ("feature", "cross_entropy", "logits", "tau_teacher", "tau_student", "synops")
    task = JointTask(
        students.timesteps,
        (students.readout,) * len(networks),
        StudentLoss(**{name: getattr(joint, name) for name in weights}),
        dropout[joint.dropout],
        subset_bias=joint.dropout != "none",
    )
    done = tune_together(
        networks,
        fit_head(before, data.students_y.numpy(), subset_bias=joint.dropout != "none"),
        data.students_x,
        slices,
        data.students_y,
        task,
        stages.schedule(joint.schedule, 3),
        stages.heard("together", joint.schedule.epochs),
        teacher_logits=teacher_logits,
        resume=stages.resume("together", "teacher", "partition", "students", "joint"),
    )
    return list(done.networks), done.head


def _quantised(
    stages: _Stages,
    data: Splits,
    index: int,
    network: nn.Module,
    targets: Tensor,
    teacher_logits: Tensor,
    task: StudentTask,
) -> nn.Module:
    experiment = stages.experiment
    described = experiment.students.schedule.model_copy(
        update={
            "epochs": experiment.quantisation.epochs,
            "learning_rate": experiment.students.schedule.learning_rate / 10,
        }
    )
    name = f"quantised{index}"
    trained = tune_quantised(
        network,
        data.students_x,
        targets,
        data.students_y,
        task,
        stages.schedule(described, 200 + index),
        stages.heard(name, described.epochs),
        weight_bits=experiment.quantisation.weight_bits,
        every=-(-len(data.students_x) // described.batch_size),
        teacher_logits=teacher_logits,
        resume=stages.resume(name, "teacher", "partition", "students", "joint", "quantisation"),
    )
    return trained.module
