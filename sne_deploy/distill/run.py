"""From an experiment to a trained, deployable ensemble: every stage in order, each resumable.

data -> teacher -> its features -> partition (-> decorrelated teacher) -> students (-> together, through the
head) (-> with quantised weights) -> head -> policy -> Ensemble. A stage's state lies in the work folder after
each epoch, named after the stage and all that it depends on: what is finished there is not trained again,
also by another experiment whose stage is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from sne_deploy.distill.data.augment import batch_transform
from sne_deploy.distill.data.given import Given
from sne_deploy.distill.data.splits import Splits, load_splits
from sne_deploy.distill.policy.deploy import deployable
from sne_deploy.distill.policy.fitting import FittedPolicy
from sne_deploy.distill.stages import (
    DECORRELATION,
    FIRST_QUANTISED,
    FIRST_STUDENT,
    TEACHER,
    TOGETHER,
    EpochLog,
    StageLog,
    Stages,
)
from sne_deploy.distill.students.checks import check_students, joint_loss
from sne_deploy.distill.students.dropout import BY_NAME as DROPOUT
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.joint import JointTask, tune_together
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.quantise_aware import tune_quantised
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.student import Run, StudentLoss, StudentTask, train_student
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.teacher.given import teacher_of
from sne_deploy.distill.teacher.network import Teacher, decorrelate_teacher, train_teacher
from sne_deploy.distill.teacher.partition import (
    Attribution,
    Contiguous,
    Correlation,
    Coverage,
    FeatureSpace,
    PartitionStrategy,
    Random,
    Selection,
    partition,
)
from sne_deploy.distill.training.determinism import open_device
from sne_deploy.distill.training.loop import split_rows
from sne_deploy.files import ensure_folder
from sne_deploy.model.ensemble import Ensemble, Head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sne_deploy.distill.experiment import Experiment

Array = npt.NDArray[Any]


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


def run_experiment(
    experiment: Experiment,
    work: Path,
    log: EpochLog = lambda *_: None,
    *,
    started: StageLog = lambda *_: None,
    given: Given | None = None,
    data: Splits | None = None,
) -> Distilled:
    """Run an experiment; the same experiment gives the same ensemble on the same machine.

    Parameters
    ----------
    experiment : Experiment
    work : Path
        A folder that keeps the state of every stage; several experiments may share it.
    log, started : callable
        Hear of every epoch, and of every stage before its first one.
    given : Given, optional
        Arrays and a teacher that the experiment does not describe.
    data : Splits, optional
        What :func:`sne_deploy.distill.data.splits.load_splits` gives, where it is loaded already.

    Raises
    ------
    InputError, DataError, UnsupportedError
        Something in the experiment does not fit; names the key or the file.
    RunError
        A training diverged.
    """
    device, given = open_device(experiment.device), given or Given()
    folder = ensure_folder(work)
    data = data or load_splits(experiment.data, experiment.seed, experiment.copies, given.data)
    teacher, digest = teacher_of(experiment.teacher, given.teacher, data.x[:2], data.classes)
    stages = Stages(experiment, folder, log, started, data.digest + digest)
    width = experiment.teacher.features if teacher is None else teacher.classifier.in_features
    check_students(experiment, data.input_shape, width, data.classes, _run(experiment), device)
    placed = data.to(device)
    teacher = train_own_teacher(stages, placed) if teacher is None else teacher.to(device)
    parts, teacher = _parts(stages, placed, teacher)
    features = stages.features("features", teacher, placed.students_x, *_teacher_sections(experiment))
    with torch.no_grad():
        teacher_logits = teacher.classifier(features)
    networks, head = _students(stages, placed, parts, features, teacher_logits)
    ensemble, fitted = deployable(experiment, data, parts, networks, head)
    return Distilled(ensemble, teacher.cpu(), parts, fitted)


def train_own_teacher(stages: Stages, data: Splits) -> Teacher:
    """The teacher that the experiment describes, trained on data that lies on the experiment's device."""
    described = stages.experiment.teacher
    return train_teacher(
        lambda: teacher_network(described, data.input_shape, data.classes),
        data.x,
        data.y,
        stages.schedule(described.schedule, TEACHER, "teacher"),
        stages.heard("teacher", described.schedule.epochs),
        label_smoothing=described.label_smoothing,
        transform=batch_transform(stages.experiment.data.augment),
        resume=stages.resume("teacher", described.schedule.epochs, "teacher"),
    ).module


def _parts(stages: Stages, data: Splits, teacher: Teacher) -> tuple[tuple[Array, ...], Teacher]:
    """Divide the features; with a decorrelation weight, fine-tune the teacher to that division."""
    experiment = stages.experiment
    described = experiment.partition
    space = FeatureSpace(
        stages.features("features", teacher, data.x, "teacher").numpy(force=True),
        data.y.numpy(force=True),
        teacher.classifier.weight.numpy(force=True),
    )
    strategies: dict[str, PartitionStrategy] = {
        "contiguous": Contiguous(),
        "random": Random(experiment.seed),
        "correlation": Correlation(),
        "attribution": Attribution(),
        "coverage": Coverage(),
        "selection": Selection(),
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
            stages.schedule(schedule, DECORRELATION, "teacher"),
            stages.heard("decorrelation", epochs),
            transform=batch_transform(experiment.data.augment),
            resume=stages.resume("decorrelation", epochs, *_teacher_sections(experiment)),
        ).module
    return parts, teacher


def _teacher_sections(experiment: Experiment) -> tuple[str, ...]:
    """What the features depend on."""
    decorrelated = experiment.partition.decorrelate and experiment.students.count > 1
    return ("teacher", "partition", "students") if decorrelated else ("teacher",)


def _students(
    stages: Stages, data: Splits, parts: Sequence[Array], features: Tensor, teacher_logits: Tensor
) -> tuple[list[nn.Module], Head | None]:
    """Each student by itself, then all together, then with quantised weights."""
    experiment = stages.experiment
    described, sections = experiment.students, ("teacher", "partition", "students")
    direct = described.outputs == "logits"
    task = StudentTask(
        described.timesteps, described.readout, StudentLoss(**described.loss.model_dump()), direct
    )
    slices = [features[:, torch.from_numpy(part)] for part in parts]
    own = data.with_copies(described.copies)
    count = len(own.students_y)
    networks: list[nn.Module] = []
    for index, targets in enumerate(slices):
        name = f"student{index}"
        trained = train_student(
            partial(
                student_network,
                described.layers,
                data.input_shape,
                data.classes if direct else targets.shape[1],
                described.dt_s,
            ),
            own.students_x,
            targets[:count],
            own.students_y,
            task,
            stages.schedule(described.schedule, FIRST_STUDENT + index, "students"),
            stages.heard(name, described.schedule.epochs),
            teacher_logits=teacher_logits[:count],
            run=_run(experiment),
            resume=stages.resume(name, described.schedule.epochs, *sections),
        )
        networks.append(trained.module)
    head = Head("mean") if direct else None
    if experiment.joint is not None:
        networks, head = _together(stages, data, networks, slices, teacher_logits)
    if experiment.quantisation.epochs:
        networks = [
            _quantised(stages, own, index, network, slices[index][:count], teacher_logits[:count], task)
            for index, network in enumerate(networks)
        ]
        head = head if direct else None
    return networks, head


def _run(experiment: Experiment) -> Run:
    return partial(simulate, alpha=experiment.students.surrogate_alpha)


def _together(
    stages: Stages,
    data: Splits,
    networks: Sequence[nn.Module],
    slices: Sequence[Tensor],
    teacher_logits: Tensor,
) -> tuple[list[nn.Module], Head]:
    experiment = stages.experiment
    joint, students = experiment.joint, experiment.students
    loss = joint_loss(experiment)
    data = data.with_copies(experiment.joint_copies)
    count = len(data.students_y)
    assert joint is not None and loss is not None  # noqa: S101, PT018  the caller asked
    before = [
        evaluate_student(network, data.x, students.timesteps, students.readout).outputs
        for network in networks
    ]
    task = JointTask(
        students.timesteps,
        (students.readout,) * len(networks),
        loss,
        DROPOUT[joint.dropout],
        subset_bias=joint.dropout != "none",
    )
    done = tune_together(
        networks,
        fit_head(before, data.y.numpy(force=True), subset_bias=joint.dropout != "none"),
        data.students_x,
        [part[:count] for part in slices],
        data.students_y,
        task,
        stages.schedule(joint.schedule, TOGETHER, "joint"),
        stages.heard("together", joint.schedule.epochs),
        teacher_logits=teacher_logits[:count],
        run=_run(experiment),
        resume=stages.resume("together", joint.schedule.epochs, "teacher", "partition", "students", "joint"),
    )
    return list(done.networks), done.head


def _quantised(
    stages: Stages,
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
        stages.schedule(described, FIRST_QUANTISED + index, "students"),
        stages.heard(name, described.epochs),
        weight_bits=experiment.quantisation.weight_bits,
        every=len(split_rows(data.students_y, described.batch_size)),
        alpha=experiment.students.surrogate_alpha,
        teacher_logits=teacher_logits,
        resume=stages.resume(
            name, described.epochs, "teacher", "partition", "students", "joint", "quantisation"
        ),
    )
    return trained.module
