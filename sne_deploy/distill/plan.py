"""What a run trains, known beforehand; and how long what is left takes, from what is measured so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import torch

from sne_deploy.distill.stages import decorrelation_schedule, quantised_schedule
from sne_deploy.distill.students.checks import compiled, student_task
from sne_deploy.distill.students.finished import Finished
from sne_deploy.distill.students.networks import student_network, trainable_copy
from sne_deploy.distill.students.phases import phases_of
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.training.determinism import deterministic, evaluating
from sne_deploy.distill.training.sizes import Sizes, macs_of, parameters_of
from sne_deploy.ir.fan_out import fan_out

if TYPE_CHECKING:
    from torch import nn

    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.schema.schedule import Schedule
    from sne_deploy.distill.teacher.network import Teacher

NONE_FINISHED = Finished()
MACS_PER_UPDATE, MACS_PER_BATCH = 10.0, 1e7
"""Multiply-accumulates that take as long as one step of a neuron, and as what a batch costs at any size.

Measured in training, on small students of digits and MNIST; they serve to compare stages that have not begun.
"""


@dataclass(frozen=True)
class PlannedStage:
    """A training of a run.

    Attributes
    ----------
    name : str
    students : int
        How many are trained in it; 0: the teacher is.
    schedule : Schedule
    samples : int
        What one epoch sees.
    sizes : Sizes
        Of all that is trained in it.
    student : int
        The first student that is like the one that is trained in it.
    """

    name: str
    students: int
    schedule: Schedule
    samples: int
    sizes: Sizes
    student: int = 0

    @property
    def epochs(self) -> int:
        """How many."""
        return self.schedule.epochs

    @property
    def work(self) -> float:
        """Of an epoch, in a unit that serves to compare stages alone."""
        each = self.sizes.macs + MACS_PER_UPDATE * self.sizes.updates
        return self.samples * each + self.samples / self.schedule.batch_size * MACS_PER_BATCH


Plan = tuple[PlannedStage, ...]


def kind_of(stage: PlannedStage) -> tuple[str, int]:
    """Its name without a number, and its student: stages of a kind differ in the size of a slice at most."""
    return stage.name.rstrip("0123456789"), stage.student


def plan_of(
    experiment: Experiment, data: Splits, teacher: Teacher | None, finished: Finished = NONE_FINISHED
) -> Plan:
    """The stages in their order; the teacher is one that is not trained here, or None."""
    described, joint, count = experiment.students, experiment.joint, experiment.students.count
    with deterministic(experiment.seed):
        own = teacher or teacher_network(experiment.teacher, data.sample_shape, data.classes)
    schedules = [("teacher", experiment.teacher.schedule)] if teacher is None else []
    if experiment.decorrelated:
        schedules.append(("decorrelation", decorrelation_schedule(experiment)))
    sizes = teacher_sizes(own, data)
    found = [PlannedStage(name, 0, schedule, len(data.x), sizes) for name, schedule in schedules]
    like = [described.like(k) for k in range(count)]
    features, one = own.classifier.in_features, dict[int, Sizes]()
    for k in set(like):
        given = finished.network(k) if k in finished.begun else None
        one[k] = student_sizes(experiment.of(k), data, features, given)
    samples = data.rows(described.copies)

    def alone(name: str, k: int, schedule: Schedule) -> PlannedStage:
        return PlannedStage(f"{name}{k}", 1, schedule, samples, one[like[k]], like[k])

    tuned = [alone("quantised", k, quantised_schedule(experiment, k)) for k in range(count)]
    tuned = tuned if experiment.quantisation.epochs else []
    for k in described.trained:
        phases = () if k in finished.begun else phases_of(described.of(k), student_task(experiment.of(k)))
        found += [alone(phase.name, k, phase.schedule) for phase in phases]
        found.append(alone("student", k, described.of(k).schedule))
        found += tuned[k : k + 1] if joint is None else []
    if joint is not None:
        every = data.rows(experiment.joint_copies)
        sizes = Sizes.together(one[k] for k in like)
        found += [PlannedStage("together", count, joint.schedule, every, sizes), *tuned]
    return tuple(found)


def teacher_sizes(teacher: Teacher, data: Splits) -> Sizes:
    """Of a teacher, by running it on one sample."""
    sample = data.x[:1].to(next(teacher.parameters()).device)
    with evaluating(teacher), torch.no_grad():
        return Sizes(parameters_of(teacher), macs_of(teacher, lambda: teacher(sample)))


def student_sizes(
    experiment: Experiment, data: Splits, features: int, given: nn.Module | None = None
) -> Sizes:
    """Of an untrained student with the largest slice of so many features, or of one that is given.

    As it runs, and compiled.
    """
    task, described = student_task(experiment), experiment.students
    outputs = data.classes if task.direct else -(-features // described.count)
    with deterministic(experiment.seed), torch.no_grad():
        if given is None:
            network: nn.Module = student_network(described.layers, data.input_shape, outputs, described.dt_s)
        else:
            network = trainable_copy(given)
        network.eval()
        steps = None if data.lengths is None else torch.tensor([task.timesteps])
        run = partial(task.run, network, data.x[:1].cpu(), task.timesteps, task.readout, steps)
        macs = macs_of(network, run)
    program = compiled(experiment, network, data.input_shape, "float")
    neurons = sum(group.size for group in program.groups)
    synapses = sum(int(fan_out(synapse.weights).sum()) for synapse in program.synapses)
    return Sizes(parameters_of(network), macs, neurons, synapses, neurons * task.timesteps)


def remaining_s(plan: Plan, done: Mapping[str, Sequence[float]]) -> float | None:
    """Seconds that the epochs which are not done will take; None before anything is measured.

    A stage goes on as fast as its epochs were: their median, without the first where there are others. One
    that has not begun is compared by its ``work`` with those that have: students with students, if there are.

    Parameters
    ----------
    plan : Plan
    done : mapping
        Seconds of the epochs that are done, by the stage's name.
    """
    measured = {stage.name: _usual(done[stage.name]) for stage in plan if done.get(stage.name)}
    if not measured:
        return None
    total = 0.0
    for stage in plan:
        left = stage.epochs - len(done.get(stage.name, ()))
        total += left * measured.get(stage.name, _compared(stage, plan, measured))
    return total


def _usual(seconds: Sequence[float]) -> float:
    return median(seconds[1:] or seconds)


def _compared(stage: PlannedStage, plan: Plan, measured: Mapping[str, float]) -> float:
    """An epoch of a stage from its work and those of the stages that are measured."""
    known = [one for one in plan if one.name in measured]
    alike = [one for one in known if bool(one.students) == bool(stage.students)] or known
    return stage.work * sum(measured[one.name] for one in alike) / sum(one.work for one in alike)
