"""From an experiment to a trained, deployable ensemble: every stage in order, each resumable.

data -> teacher -> its features -> partition (-> decorrelated teacher) -> students (-> together, through the
head) (-> with quantised weights) -> head -> policy -> Ensemble. :mod:`sne_deploy.distill.pupils` has the
stages of the students. A stage's state lies in the work folder after
each epoch, named after the stage and all that it depends on: what is finished there is not trained again,
also by another experiment whose stage is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.distill.data.augment import transform_of
from sne_deploy.distill.data.given import Given
from sne_deploy.distill.data.splits import Splits, load_splits
from sne_deploy.distill.plan import Plan, plan_of
from sne_deploy.distill.policy.deploy import deployable
from sne_deploy.distill.policy.fitting import Brought, FittedPolicy
from sne_deploy.distill.pupils import train_students
from sne_deploy.distill.side_by_side import train_side_by_side
from sne_deploy.distill.stages import (
    DECORRELATION,
    TEACHER,
    EpochLog,
    Kept,
    Stage,
    StageLog,
    Stages,
    decorrelation_schedule,
)
from sne_deploy.distill.students.checks import check_students
from sne_deploy.distill.students.finished import read_finished
from sne_deploy.distill.students.student import Lesson
from sne_deploy.distill.students.watch import Held, watch_teacher
from sne_deploy.distill.teacher.architectures import teacher_network, whiten
from sne_deploy.distill.teacher.given import teacher_of
from sne_deploy.distill.teacher.half import half_teacher
from sne_deploy.distill.teacher.network import Teacher, decorrelate_teacher, train_teacher
from sne_deploy.distill.teacher.partition import STRATEGIES, FeatureSpace, partition, random
from sne_deploy.distill.training.determinism import open_device
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import InputError
from sne_deploy.files import ensure_folder
from sne_deploy.model.ensemble import Ensemble

if TYPE_CHECKING:
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
    brought : tuple of Brought
        What each student does on validation samples, as deployed.
    """

    ensemble: Ensemble
    teacher: Teacher
    parts: tuple[Array, ...]
    fitted: FittedPolicy | None
    brought: tuple[Brought, ...]


def run_experiment(
    experiment: Experiment,
    work: Path,
    log: EpochLog = lambda *_: None,
    *,
    started: StageLog = lambda *_: None,
    given: Given | None = None,
    data: Splits | None = None,
    planned: Callable[[Plan], None] = lambda _: None,
    taught: Callable[[Teacher], None] = lambda _: None,
    kept: Kept = lambda *_: None,
    watched: bool = False,
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
    planned : callable
        Hears of all stages before the first.
    taught, kept : callable
        Hear of the teacher, and of each student with the features that it learned, when it is finished.
    watched : bool
        Whether every epoch is judged on validation samples, for the log; it changes nothing that is trained.

    Raises
    ------
    InputError, DataError, UnsupportedError
        Something in the experiment does not fit; names the key or the file.
    RunError
        A training diverged.
    """
    given = given or Given()
    stages = Stages(experiment, work, log, started, kept=kept)
    ready = _prepared(stages, given, data, planned, taught, watched=watched)
    if experiment.side_by_side > 1:
        train_side_by_side(ready.stages, ready.lesson, partial(train_only, experiment, work, given))
    networks, head = train_students(ready.stages, ready.placed, ready.lesson, ready.parts)
    made = deployable(experiment, ready.data, ready.parts, networks, head)
    return Distilled(made.ensemble, ready.teacher.cpu(), ready.parts, made.fitted, made.brought)


def train_only(experiment: Experiment, work: Path, given: Given, student: int) -> None:
    """Train one student by itself, as far as its stages do not need the others; their state is kept."""
    ready = _prepared(Stages(experiment, work), given)
    train_students(ready.stages, ready.placed, ready.lesson, ready.parts, only=student)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What students are trained with; ``placed`` is the data on the experiment's device."""

    stages: Stages
    data: Splits
    placed: Splits
    lesson: Lesson
    parts: tuple[Array, ...]
    teacher: Teacher


def _prepared(
    stages: Stages,
    given: Given,
    data: Splits | None = None,
    planned: Callable[[Plan], None] = lambda _: None,
    taught: Callable[[Teacher], None] = lambda _: None,
    *,
    watched: bool = False,
) -> _Prepared:
    """All before the students: data, checks, the teacher, its features and answers."""
    experiment = stages.experiment
    device = open_device(experiment.device)
    ensure_folder(stages.folder)
    data = data or load_splits(
        experiment.data, experiment.seed, experiment.copies, given.data, experiment.students.timesteps
    )
    teacher, digest = teacher_of(experiment.teacher, given.teacher, data.x[:2], data.classes)
    placed, finished = data.to(device), read_finished(experiment, data)
    held = Held.of(placed) if watched else None
    stages = replace(stages, own=data.digest + digest, held=held, given=finished)
    width = experiment.teacher.features if teacher is None else teacher.classifier.in_features
    check_students(experiment, placed, width, finished)
    if teacher is not None:
        _check_answers(experiment, teacher.classifier.out_features, data.classes)
    planned(plan_of(experiment, placed, teacher, finished))
    teacher = train_own_teacher(stages, placed) if teacher is None else teacher.to(device)
    if not (experiment.students.trained or experiment.joint or experiment.divided):
        taught(teacher)
        return _untaught(stages, data, placed, teacher)
    parts, teacher = _parts(stages, placed, teacher)
    taught(teacher)
    features = stages.features("features", teacher, placed.students_x, *_teacher_sections(experiment))
    with torch.no_grad():
        teacher_logits = teacher.classifier(features)
    slices = tuple(features[:, torch.from_numpy(part)] for part in parts)
    answers = stages.answers(teacher, placed, parts, *_teacher_sections(experiment))
    lesson = Lesson(
        placed.students_x, placed.students_y, slices, teacher_logits, placed.students_lengths, answers
    )
    return _Prepared(stages, data, placed, lesson, parts, teacher)


def _check_answers(experiment: Experiment, answered: int, classes: int) -> None:
    """Refuse a teacher of other classes than the labels' where its answers are learned as they are."""
    students, joint = experiment.students, experiment.joint
    learned = [
        f"{students.place(k)}.loss.logits"
        for k in students.trained
        if students.outputs == "logits" and students.of(k).loss.logits
    ]
    if joint is not None and joint.logits:
        learned.append("joint.logits")
    if learned and answered != classes:
        raise InputError(
            f"teacher: it answers with {answered} classes, the labels have {classes}: its answers are not "
            f"the students'; set {learned[0]} to 0, or give a teacher of the labels' classes"
        )


def _untaught(stages: Stages, data: Splits, placed: Splits, teacher: Teacher) -> _Prepared:
    """Where all students are finished, and whole classifiers: nobody asks for the teacher's features."""
    count = stages.experiment.students.count
    parts = tuple(np.array_split(np.arange(teacher.classifier.in_features), count))
    nothing = torch.empty(len(placed.students_x), 0, device=placed.x.device)
    lesson = Lesson(placed.students_x, placed.students_y, (nothing,) * count, lengths=placed.students_lengths)
    return _Prepared(stages, data, placed, lesson, parts, teacher)


def train_own_teacher(stages: Stages, data: Splits) -> Teacher:
    """The teacher that the experiment describes, trained on data that lies on the experiment's device."""
    described = stages.experiment.teacher
    stage = Stage("teacher", TEACHER, described.schedule, "teacher", ("teacher",))
    trained = train_teacher(
        lambda: whiten(teacher_network(described, data.sample_shape, data.classes), data.x),
        (data.x, data.y),
        _augmented(stages, stage),
        label_smoothing=described.label_smoothing,
    ).module
    return half_teacher(trained) if described.weights == "float16" else trained


def _augmented(stages: Stages, stage: Stage) -> Training:
    """A teacher's training: other images in every batch."""
    training = stages.training(stage, watch_teacher)
    return replace(training, transform=transform_of(stages.experiment.data))


def _parts(stages: Stages, data: Splits, teacher: Teacher) -> tuple[tuple[Array, ...], Teacher]:
    """Divide the features; with a decorrelation weight, fine-tune the teacher to that division."""
    experiment = stages.experiment
    described = experiment.partition
    space = FeatureSpace(
        stages.features("features", teacher, data.x, "teacher").numpy(force=True),
        data.y.numpy(force=True),
        teacher.classifier.weight.numpy(force=True),
    )
    strategy = STRATEGIES[described.strategy]
    if described.strategy == "random":
        strategy = partial(random, seed=experiment.seed)
    parts = partition(strategy, space, experiment.students.count)
    if experiment.decorrelated:
        schedule, sections = decorrelation_schedule(experiment), _teacher_sections(experiment)
        stage = Stage("decorrelation", DECORRELATION, schedule, "teacher", sections)
        training = _augmented(stages, stage)
        teacher = decorrelate_teacher(
            teacher, (data.x, data.y), parts, described.decorrelate, training
        ).module
    return parts, teacher


def _teacher_sections(experiment: Experiment) -> tuple[str, ...]:
    """What the features depend on."""
    if not experiment.decorrelated:
        return ("teacher",)
    return ("teacher", "partition", "count" if experiment.students.member else "students")
