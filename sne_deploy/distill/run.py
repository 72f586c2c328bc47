"""From an experiment to a trained, deployable ensemble: every stage in order, each resumable.

data -> teacher -> its features -> partition (-> decorrelated teacher) -> students (-> together, through the
head) (-> with quantised weights) -> head -> policy -> Ensemble. A stage's state lies in the work folder after
each epoch, named after the stage and all that it depends on: what is finished there is not trained again,
also by another experiment whose stage is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from sne_deploy.distill.data.augment import transform_of
from sne_deploy.distill.data.given import Given
from sne_deploy.distill.data.splits import Splits, load_splits
from sne_deploy.distill.plan import Plan, plan_of
from sne_deploy.distill.policy.deploy import deployable
from sne_deploy.distill.policy.fitting import FittedPolicy
from sne_deploy.distill.stages import (
    DECORRELATION,
    FIRST_QUANTISED,
    FIRST_STUDENT,
    TEACHER,
    TOGETHER,
    EpochLog,
    Stage,
    StageLog,
    Stages,
    decorrelation_schedule,
    quantised_schedule,
)
from sne_deploy.distill.students.checks import (
    check_students,
    joint_task,
    kept_zeros,
    pruning_of,
    student_task,
)
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.joint import JointTask, tune_together
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.quantise_aware import tune_quantised, with_stored_weights
from sne_deploy.distill.students.student import Lesson, StudentTask, train_student
from sne_deploy.distill.students.watch import Held, watch_student, watch_teacher, watch_together
from sne_deploy.distill.teacher.architectures import teacher_network, whiten
from sne_deploy.distill.teacher.given import teacher_of
from sne_deploy.distill.teacher.half import half_teacher
from sne_deploy.distill.teacher.network import Teacher, decorrelate_teacher, train_teacher
from sne_deploy.distill.teacher.partition import STRATEGIES, FeatureSpace, partition, random
from sne_deploy.distill.training.determinism import open_device
from sne_deploy.distill.training.loop import Training, split_rows
from sne_deploy.files import ensure_folder
from sne_deploy.model.ensemble import Ensemble, Head

if TYPE_CHECKING:
    from torch import nn

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


@dataclass(frozen=True, eq=False)
class Pupils:
    """Networks that learn the experiment's slices, each by itself, then all together.

    Attributes
    ----------
    build : callable
        Makes an untrained one, from its number of outputs.
    task : StudentTask
    joint : JointTask or None
        None: they are not trained together.
    name, together : str
        Of the stages: the name is followed by the network's number.
    depends : tuple of str
        The sections of the experiment that the stages depend on.
    """

    build: Callable[[int], nn.Module]
    task: StudentTask
    joint: JointTask | None
    name: str = "student"
    together: str = "together"
    depends: tuple[str, ...] = ("teacher", "partition", "students")


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
    taught : callable
        Gets the teacher once it is trained, before any student.
    watched : bool
        Whether every epoch is judged on validation samples, for the log; it changes nothing that is trained.

    Raises
    ------
    InputError, DataError, UnsupportedError
        Something in the experiment does not fit; names the key or the file.
    RunError
        A training diverged.
    """
    device, given = open_device(experiment.device), given or Given()
    folder = ensure_folder(work)
    data = data or load_splits(
        experiment.data, experiment.seed, experiment.copies, given.data, experiment.students.timesteps
    )
    teacher, digest = teacher_of(experiment.teacher, given.teacher, data.x[:2], data.classes)
    placed = data.to(device)
    held = Held.of(placed) if watched else None
    stages = Stages(experiment, folder, log, started, data.digest + digest, held)
    width = experiment.teacher.features if teacher is None else teacher.classifier.in_features
    check_students(experiment, placed, width)
    planned(plan_of(experiment, placed, teacher))
    teacher = train_own_teacher(stages, placed) if teacher is None else teacher.to(device)
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
    networks, head = _students(stages, placed, lesson)
    ensemble, fitted = deployable(experiment, data, parts, networks, head)
    return Distilled(ensemble, teacher.cpu(), parts, fitted)


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
    if described.decorrelate and len(parts) > 1:
        schedule, sections = decorrelation_schedule(experiment), _teacher_sections(experiment)
        stage = Stage("decorrelation", DECORRELATION, schedule, "teacher", sections)
        training = _augmented(stages, stage)
        teacher = decorrelate_teacher(
            teacher, (data.x, data.y), parts, described.decorrelate, training
        ).module
    return parts, teacher


def _teacher_sections(experiment: Experiment) -> tuple[str, ...]:
    """What the features depend on."""
    decorrelated = experiment.partition.decorrelate and experiment.students.count > 1
    return ("teacher", "partition", "students") if decorrelated else ("teacher",)


def _students(stages: Stages, data: Splits, lesson: Lesson) -> tuple[list[nn.Module], Head | None]:
    """Each student by itself, then all together, then with quantised weights."""
    experiment = stages.experiment
    described, task = experiment.students, student_task(experiment)

    def build(outputs: int) -> nn.Module:
        size = data.classes if task.direct else outputs
        return student_network(described.layers, data.input_shape, size, described.dt_s)

    pupils = Pupils(build, task, joint_task(experiment, task))
    networks, head = train_pupils(stages, data, lesson, pupils)
    if experiment.quantisation.epochs:
        own = lesson.first(data.rows(described.copies))
        networks, head = _quantised(stages, own, networks), None
    return networks, Head("mean") if task.direct else head


def train_pupils(
    stages: Stages, data: Splits, lesson: Lesson, pupils: Pupils
) -> tuple[list[nn.Module], Head | None]:
    """Train each network on its slice, then all of them through the head.

    The data lies on the experiment's device; the lesson is on all of the students' samples, copies included.
    The head is None where they are not trained together.
    """
    described, joint, task = stages.experiment.students, stages.experiment.joint, pupils.task
    own = lesson.first(data.rows(described.copies))
    networks: list[nn.Module] = []
    for k, part in enumerate(own.features):
        stage = Stage(f"{pupils.name}{k}", FIRST_STUDENT + k, described.schedule, "students", pupils.depends)
        build = partial(pupils.build, part.shape[1])
        training = stages.training(stage, partial(watch_student, task=task, others=tuple(networks)))
        training = replace(training, after_step=pruning_of(stages.experiment, own.of(k), task))
        networks.append(train_student(build, own.of(k), task, training).module)
    if joint is None or pupils.joint is None:
        return networks, None
    inputs = (data.x, task.timesteps, task.readout, data.lengths)
    outputs = [evaluate_student(one, *inputs).outputs for one in networks]
    stage = Stage(pupils.together, TOGETHER, joint.schedule, "joint", (*pupils.depends, "joint"))
    made = tune_together(
        networks,
        fit_head(outputs, data.y.numpy(force=True), subset_bias=pupils.joint.subset_bias),
        lesson.first(data.rows(stages.experiment.joint_copies)),
        pupils.joint,
        replace(
            stages.training(stage, partial(watch_together, task=task)),
            after_step=kept_zeros(stages.experiment),
        ),
    )
    return list(made.networks), made.head


def _quantised(stages: Stages, lesson: Lesson, networks: list[nn.Module]) -> list[nn.Module]:
    """The students, each trained further with the weights that the chip will store."""
    experiment = stages.experiment
    task, bits, schedule = (
        student_task(experiment),
        experiment.quantisation.weight_bits,
        quantised_schedule(experiment),
    )
    every = len(split_rows(lesson.labels, schedule.batch_size))
    depends = ("teacher", "partition", "students", "joint", "quantisation")
    made = list(networks)
    before: list[nn.Module] = []
    stored = partial(
        with_stored_weights,
        input_shape=lesson.input_shape,
        timesteps=task.timesteps,
        readout=task.readout,
        weight_bits=bits,
        encoder=task.encoder,
    )
    for k, network in enumerate(networks):
        stage = Stage(f"quantised{k}", FIRST_QUANTISED + k, schedule, "students", depends)
        watch = partial(watch_student, task=task, others=(*before, *made[k + 1 :]), changed=stored)
        training = replace(stages.training(stage, watch), after_step=kept_zeros(experiment))
        done = tune_quantised(network, lesson.of(k), task, training, weight_bits=bits, every=every)
        made[k] = done.module
        before.append(stored(done.module))
    return made
