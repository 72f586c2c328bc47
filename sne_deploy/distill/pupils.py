"""The students' stages: each by itself, all together, and with quantised weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from sne_deploy.distill.half import halve_maps
from sne_deploy.distill.stages import (
    FIRST_OF_PHASE,
    FIRST_QUANTISED,
    FIRST_STUDENT,
    TOGETHER,
    Stage,
    Stages,
    quantised_schedule,
)
from sne_deploy.distill.students.checks import joint_task, kept_zeros, pruning_of, student_task
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.joint import JointTask, tune_together
from sne_deploy.distill.students.networks import mirror_image, student_network, trainable_copy
from sne_deploy.distill.students.phases import phases_of
from sne_deploy.distill.students.quantise_aware import folded, tune_quantised, with_stored_weights
from sne_deploy.distill.students.shrink import shrunk
from sne_deploy.distill.students.student import Alone, Lesson, StudentTask, train_alone, train_student
from sne_deploy.distill.students.watch import Change, watch_student, watch_together
from sne_deploy.distill.training.loop import split_rows
from sne_deploy.model.ensemble import Head

if TYPE_CHECKING:
    from torch import nn

    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.students.watch import Held
    from sne_deploy.distill.training.epochs import Watch

Array = npt.NDArray[Any]
Finish = Callable[[int, "nn.Module", Sequence["nn.Module"]], "nn.Module"]
"""Called as finish(student, network, those before it) where students are not trained together."""


@dataclass(frozen=True, eq=False)
class Pupils:
    """Networks that learn the experiment's slices, each by itself, then all together.

    Attributes
    ----------
    build : callable
        Makes an untrained one, from its number and that of its outputs.
    task : callable
        What a student learns, from its number.
    joint : JointTask or None
        None: they are not trained together.
    name, together : str
        Of the stages: the name is followed by the network's number.
    depends : tuple of str
        The sections of the experiment that the stages depend on.
    finish : Finish
        Makes of a trained network what it is when it is finished.
    phased : bool
        Whether they go through the phases that the experiment puts before a student's own training, and are
        pruned in it.
    mirror : callable
        Makes the mirror image of one that is finished, from it and the input's shape.
    """

    build: Callable[[int, int], nn.Module]
    task: Callable[[int], StudentTask]
    joint: JointTask | None
    name: str = "student"
    together: str = "together"
    depends: tuple[str, ...] = ("teacher", "partition", "students")
    finish: Finish = lambda _, network, __: network
    phased: bool = False
    mirror: Callable[[nn.Module, tuple[int, ...]], nn.Module] = mirror_image


def train_students(
    stages: Stages, data: Splits, lesson: Lesson, parts: Sequence[Array], only: int | None = None
) -> tuple[list[nn.Module], Head | None]:
    """Each student by itself, then all together, then with quantised weights; those given are not trained.

    Without ``[joint]`` a student is fine-tuned with quantised weights as soon as it is trained, and finished.
    With ``only``, nothing but this one is trained, by itself, and there is no head.
    """
    experiment = stages.experiment
    described = experiment.students
    each = tuple(student_task(experiment.of(index)).run for index in range(described.count))
    joint = joint_task(experiment, student_task(experiment), each)
    direct = described.outputs == "logits"
    own = lesson.first(data.rows(described.copies))

    def build(index: int, outputs: int) -> nn.Module:
        if index in stages.given.begun:
            return trainable_copy(stages.given.network(index, None if direct else parts[index]))
        layers, where = described.of(index).layers, f"{described.place(index)}.layers"
        size = data.classes if direct else outputs
        return student_network(layers, data.input_shape, size, described.dt_s, where)

    def finish(index: int, network: nn.Module, before: Sequence[nn.Module]) -> nn.Module:
        made = _finished_alone(stages, own, index, network, before) if joint is None else network
        if index not in stages.given:
            stages.kept(index, made, None if direct else parts[index])
        return made

    def task(index: int) -> StudentTask:
        return student_task(experiment.of(index))

    pupils = Pupils(build, task, joint, finish=finish, phased=True)
    if only is not None:
        return [finish(only, _alone(stages, own, pupils, only, ()), ())], None
    networks, head = train_pupils(stages, data, lesson, pupils, parts)
    if joint is not None and experiment.quantisation.epochs:
        made: list[nn.Module] = []
        for index, network in enumerate(networks):
            made.append(_quantised(stages, own, index, network, made, networks[index + 1 :]))
        networks, head = made, None
    if joint is not None:
        networks = [_finished(stages, index, network) for index, network in enumerate(networks)]
    return networks, Head("mean") if direct else head


def train_pupils(
    stages: Stages, data: Splits, lesson: Lesson, pupils: Pupils, parts: Sequence[Array] = ()
) -> tuple[list[nn.Module], Head | None]:
    """Train each network on its slice, then all of them through the head.

    The data lies on the experiment's device; the lesson is on all of the students' samples, copies included.
    The head is None where they are not trained together. A student that is given must have learned its own of
    the ``parts`` of the features.
    """
    experiment = stages.experiment
    own = lesson.first(data.rows(experiment.students.copies))
    networks: list[nn.Module] = []
    for k in range(len(own.features)):
        source = experiment.students.mirror_of(k)
        if source is not None:
            networks.append(pupils.mirror(networks[source], lesson.input_shape).to(data.x.device))
            continue
        if k in stages.given:
            direct = experiment.students.outputs == "logits"
            network = stages.given.network(k, None if direct else parts[k]).to(data.x.device)
        else:
            network = _alone(stages, own, pupils, k, networks)
        networks.append(pupils.finish(k, network, networks))
    joint, together = experiment.joint, pupils.joint
    if joint is None or together is None:
        return networks, None
    inputs = (data.x, together.timesteps, together.readout, data.lengths)
    outputs = [evaluate_student(one, *inputs).outputs for one in networks]
    stage = Stage(pupils.together, TOGETHER, joint.schedule, "joint", (*pupils.depends, "joint"))
    made = tune_together(
        networks,
        fit_head(outputs, data.y.numpy(force=True), subset_bias=together.subset_bias),
        lesson.first(data.rows(experiment.joint_copies)),
        together,
        replace(
            stages.training(stage, partial(watch_together, task=together)),
            after_step=kept_zeros(experiment, range(len(networks))),
        ),
    )
    return list(made.networks), made.head


def _alone(
    stages: Stages, lesson: Lesson, pupils: Pupils, index: int, others: Sequence[nn.Module]
) -> nn.Module:
    """A network that learns its slice by itself."""
    described, task, part = stages.experiment.students, pupils.task(index), lesson.features[index]
    pruned = described.of(index).pruning if pupils.phased else None
    by_bits = pruned is not None and pruned.by == "synops"  # the chip's integers say what is silent
    stage = Stage(
        f"{pupils.name}{index}",
        FIRST_STUDENT + index,
        described.of(index).schedule,
        described.place(index),
        (*pupils.depends, "quantisation") if by_bits else pupils.depends,
        index,
        ("quantisation.epochs",) if by_bits else (),
    )
    training = stages.training(stage, partial(watch_student, task=task, others=tuple(others)))
    begun = index in stages.given.starts
    if pupils.phased:
        pruning = pruning_of(stages.experiment.of(index), lesson.of(index), task, begun=begun)
        training = replace(training, after_step=pruning)
    build = partial(pupils.build, index, part.shape[1])
    phased = pupils.phased and not begun
    start, twin = _start(stages, lesson.of(index), pupils, index, build) if phased else (None, None)
    return train_student(build, lesson.of(index), task, training, start, twin).module


def _finished_alone(
    stages: Stages, lesson: Lesson, index: int, network: nn.Module, before: Sequence[nn.Module]
) -> nn.Module:
    """A student that is not trained together with the others: fine-tuned with quantised weights."""
    if index in stages.given:
        return _stored(stages, index, network)
    tuned = bool(stages.experiment.quantisation.epochs)
    return _finished(stages, index, _quantised(stages, lesson, index, network, before) if tuned else network)


def _finished(stages: Stages, index: int, network: nn.Module) -> nn.Module:
    """As it is stored; one that was pruned, without the neurons that reach nothing any more."""
    pruned = index in stages.given.starts or stages.experiment.of(index).students.pruning is not None
    smaller = shrunk(network).to(next(network.parameters()).device) if pruned else network
    return _stored(stages, index, smaller)


def _stored(stages: Stages, index: int, network: nn.Module) -> nn.Module:
    """With maps of as many bits as the experiment stores."""
    described = stages.experiment.students
    if described.of(index).storage == "float32":
        return network
    made = trainable_copy(network).eval()
    halve_maps(made, f"{described.place(index)}.storage")
    return made


def _start(
    stages: Stages, lesson: Lesson, pupils: Pupils, index: int, build: Callable[[], nn.Module]
) -> tuple[Alone | None, nn.Module | None]:
    """What a student begins as: trained in the phases before its own, if it has any; and its trained twin."""
    described, start, twin = stages.experiment.students, None, None
    for phase in phases_of(described.of(index), pupils.task(index)):
        name, seed = f"{phase.name}{index}", FIRST_OF_PHASE[phase.name] + index
        place = described.place(index)
        stage = Stage(name, seed, phase.schedule, place, pupils.depends, index, phase.without)
        training = stages.training(stage, phase.watch)
        start = train_alone(build, lesson, phase.task, training, start, twin).module
        twin = start.network if phase.name == "warm" else twin
    return start, twin


def stored_weights_of(experiment: Experiment, input_shape: tuple[int, ...]) -> Change:
    """Makes of a student one with the weights that the chip will store."""
    described = experiment.students

    def stored(network: nn.Module) -> nn.Module:
        return with_stored_weights(
            folded(network, input_shape),
            input_shape,
            described.timesteps,
            described.readout,
            experiment.quantisation.weight_bits,
            experiment.data.encoder,
        )

    return stored


def _quantised(
    stages: Stages,
    lesson: Lesson,
    index: int,
    network: nn.Module,
    before: Sequence[nn.Module],
    others: Sequence[nn.Module] = (),
) -> nn.Module:
    """A student, trained further with the weights that the chip will store, as those before it were."""
    experiment = stages.experiment
    task, bits = student_task(experiment.of(index)), experiment.quantisation.weight_bits
    schedule, joint = quantised_schedule(experiment, index), experiment.joint
    every = len(split_rows(lesson.labels, schedule.batch_size))
    stored = stored_weights_of(experiment, lesson.input_shape)
    stage = Stage(
        f"quantised{index}",
        FIRST_QUANTISED + index,
        schedule,
        experiment.students.place(index),
        ("teacher", "partition", "students", "joint", "quantisation"),
        index if joint is None else None,
    )

    def watch(held: Held) -> Watch:
        return watch_student(held, task, (*map(stored, before), *others), stored)

    training = replace(stages.training(stage, watch), after_step=kept_zeros(experiment, (index,)))
    return tune_quantised(network, lesson.of(index), task, training, weight_bits=bits, every=every).module
