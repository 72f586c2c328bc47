"""What students learn, and the training of one by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from sne_deploy.distill import losses
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.drives import drives_of, twin_activations
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.simulate import Run, simulate
from sne_deploy.distill.students.surrogates import NORSES, Surrogate
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import Samples, Terms, Trained, Training, fit
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Encoder, Readout

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.students.answers import Answers

CONSTANT = Encoder("constant")


@dataclass(frozen=True, eq=False)
class Lesson:
    """What students are given and what they are to make of it, on N samples.

    Attributes
    ----------
    inputs : float32 tensor of shape (N, *input_shape), or (N, T, *input_shape) with lengths
        The current at every step; or spikes or a current for each step.
    labels : int64 tensor of shape (N,)
    features : tuple of float32 tensors of shape (N, F)
        The teacher's: each student's slice.
    teacher_logits : float32 tensor of shape (N, classes) or None
        A loss on ``logits`` needs them.
    lengths : int64 tensor of shape (N,) or None
        Steps of each sample, of inputs with a time axis.
    answers : Answers or None
        What is trained on instead: augmented images, with the teacher's answers to them.
    """

    inputs: Tensor
    labels: Tensor
    features: tuple[Tensor, ...]
    teacher_logits: Tensor | None = None
    lengths: Tensor | None = None
    answers: Answers | None = None

    @property
    def samples(self) -> Sequence[Tensor] | Samples:
        """To train on; a batch ends in the lengths and the teacher's logits, if any."""
        if self.answers is not None:
            return self.answers.samples(self.inputs, self.labels)
        given = (self.lengths, self.teacher_logits)
        return (self.inputs, self.labels, *self.features, *(one for one in given if one is not None))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample at one step."""
        return tuple(int(size) for size in self.inputs.shape[1 if self.lengths is None else 2 :])

    def first(self, samples: int) -> Lesson:
        """The first samples alone."""
        return Lesson(
            self.inputs[:samples],
            self.labels[:samples],
            tuple(part[:samples] for part in self.features),
            None if self.teacher_logits is None else self.teacher_logits[:samples],
            None if self.lengths is None else self.lengths[:samples],
            None if self.answers is None else self.answers.first(samples),
        )

    def of(self, student: int) -> Lesson:
        """One student's own."""
        answers = None if self.answers is None else self.answers.of(student)
        return replace(self, features=(self.features[student],), answers=answers)

    def classes(self, loss: StudentLoss) -> int:
        """Number of classes, from the teacher's logits where there are any.

        Raises
        ------
        InputError
            The loss is on the teacher's logits, but there are none; or a label is beyond them.
        """
        highest = int(self.labels.max())
        if self.teacher_logits is None:
            if loss.logits:
                raise InputError(
                    f"loss: logits {loss.logits} needs the teacher's logits; give teacher_logits"
                )
            return highest + 1
        known = int(self.teacher_logits.shape[1])
        if highest >= known:
            raise InputError(f"label {highest} is beyond the teacher's {known} classes")
        return known


@dataclass(frozen=True)
class StudentTask:
    """What a student computes: at most T steps, read out at the end.

    Attributes
    ----------
    timesteps : int
    readout : Readout
    loss : StudentLoss
    direct : bool
        The outputs are the logits; otherwise they are features, and a classifier is trained along.
    run : Run
        How the network is run while it is trained.
    encoder : Encoder
        Of the students' input.
    surrogate : Surrogate
        A spike's gradient, as ``run`` has it.
    """

    timesteps: int
    readout: Readout = "v_mean"
    loss: StudentLoss = field(default_factory=StudentLoss)
    direct: bool = False
    run: Run = simulate
    encoder: Encoder = CONSTANT
    surrogate: Surrogate = NORSES

    def __post_init__(self) -> None:
        if self.direct and self.loss.feature:
            raise InputError(
                f"loss: feature {self.loss.feature} needs features; outputs are logits: set it to 0"
            )

    def runs(self, count: int) -> tuple[Run, ...]:
        """How each of so many networks is run."""
        return (self.run,) * count


@dataclass(frozen=True, eq=False)
class FeatureUnits:
    """A student's own units: the features less their training mean, over the root of their variance.

    Attributes
    ----------
    mean, variance : tensor of shape (F,)
        Over the training set.
    """

    mean: Tensor
    variance: Tensor

    @staticmethod
    def of(features: Tensor) -> FeatureUnits:
        """Units of features of shape (N, F)."""
        return FeatureUnits(features.mean(dim=0), losses.training_variance(features))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Feature distillation of outputs in the student's units, targets in the teacher's."""
        predicted = outputs * self.variance.sqrt() + self.mean
        return losses.feature_distillation(predicted, targets, self.variance)


class Learner(nn.Module):
    """Networks in training, and what makes logits of their outputs."""

    networks: Iterable[nn.Module]

    def logits(self, outputs: Sequence[Tensor]) -> Tensor:
        """Shape (N, classes), from each student's outputs (N, n_out)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class LearningObjective:
    """The loss of one or several students on batches of a lesson's tensors.

    ``feature`` is the mean over the students, ``spike_rate`` that over all their layers; ``synops`` adds all
    their operations.

    Attributes
    ----------
    task : StudentTask
    units : tuple of FeatureUnits
        Of each student.
    costs : tuple of tensors
        Fan-outs of all students' layers; for ``synops``.
    timed : bool
        Whether the lesson has lengths.
    twin : nn.Module or None
        The trained ReLU twin of the only student; for ``inner``.
    """

    task: StudentTask
    units: tuple[FeatureUnits, ...]
    costs: tuple[Tensor, ...]
    timed: bool = False
    twin: nn.Module | None = None

    @staticmethod
    def of(
        lesson: Lesson, task: StudentTask, networks: Iterable[nn.Module], twin: nn.Module | None = None
    ) -> LearningObjective:
        """With the units of a lesson's slices, and what the networks' spikes cost."""
        if task.loss.inner and twin is None:
            raise InputError(f"loss: inner {task.loss.inner} needs the student's trained twin; give twin")
        counted = (cost for one in networks for cost in fan_outs(one, lesson.input_shape))
        costs = tuple(cost.to(lesson.inputs.device) for cost in counted) if task.loss.synops else ()
        units = tuple(FeatureUnits.of(part) for part in lesson.features)
        return LearningObjective(task, units, costs, lesson.lengths is not None, twin)

    def __call__(self, learner: Learner, batch: Sequence[Tensor]) -> Terms:
        """Each term that has a weight, times that."""
        task, loss, count = self.task, self.task.loss, len(self.units)
        inputs, labels, targets, teacher = batch[0], batch[1], batch[2 : 2 + count], batch[2 + count :]
        lengths = teacher[0] if self.timed else None
        given = (inputs, task.timesteps, task.readout, lengths)
        runs = [run(network, *given) for run, network in zip(task.runs(count), learner.networks, strict=True)]
        outputs = [done.outputs for done in runs]
        terms: dict[str, Tensor] = {}
        if loss.feature:
            own = [unit.loss(o, t) for unit, o, t in zip(self.units, outputs, targets, strict=True)]
            terms["feature"] = loss.feature * torch.stack(own).mean()
        logits = learner.logits(outputs)
        if loss.cross_entropy:
            terms["cross_entropy"] = loss.cross_entropy * losses.cross_entropy(logits, labels)
        if loss.logits:
            divergence = losses.logits_distillation(logits, teacher[-1], loss.tau_student, loss.tau_teacher)
            terms["logits"] = loss.logits * divergence
        rates = [rate for done in runs for rate in done.rates]
        if loss.spike_rate:
            terms["spike_rate"] = loss.spike_rate * losses.spike_rate(rates, loss.target_rate)
        if loss.hoyer:
            terms["hoyer"] = loss.hoyer * losses.hoyer(drives_of(learner.networks, runs))
        if loss.inner and self.twin is not None:
            targets = twin_activations(self.twin, inputs, task.timesteps, task.readout)
            terms["inner"] = loss.inner * losses.inner_distillation(rates, targets)
        if loss.synops:
            cost = losses.synop_cost(rates, self.costs, task.timesteps)
            terms["synops"] = loss.synops * cost
        return terms


class Alone(Learner):
    """A student and the classifier that is trained along."""

    def __init__(self, network: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.network, self.classifier = network, classifier

    @property
    def networks(self) -> tuple[nn.Module]:  # type: ignore[override]  # read only
        """The one that there is."""
        return (self.network,)

    def logits(self, outputs: Sequence[Tensor]) -> Tensor:
        """By the classifier."""
        made: Tensor = self.classifier(outputs[0])
        return made


def train_student(
    build: Callable[[], nn.Module],
    lesson: Lesson,
    task: StudentTask,
    training: Training,
    start: Alone | None = None,
    twin: nn.Module | None = None,
) -> Trained[nn.Module]:
    """Distil a spiking student on its slice of the teacher's features, by surrogate gradients.

    Parameters
    ----------
    build : callable
        Makes the untrained network: a sequence of torch layers and Norse cells.
    lesson : Lesson
        With one slice.
    task : StudentTask
    training : Training
    start : Alone, optional
        What :func:`train_alone` gave for the same network: its weights are the initial ones.
    twin : nn.Module, optional
        The network as its trained ReLU twin, in evaluation mode, for a loss on ``inner``; it is not changed.

    Returns
    -------
    Trained
        Its module is the network alone. Its outputs are logits, or in the student's own units: the features
        less their training mean, divided by the root of their training variance.
    """
    trained = train_alone(build, lesson, task, training, start, twin)
    return Trained(trained.module.network, trained.log)


def train_alone(
    build: Callable[[], nn.Module],
    lesson: Lesson,
    task: StudentTask,
    training: Training,
    start: Alone | None = None,
    twin: nn.Module | None = None,
) -> Trained[Alone]:
    """As :func:`train_student`, with the classifier that is trained along."""
    classes, width = lesson.classes(task.loss), lesson.features[0].shape[1]
    with deterministic(training.seed):
        objective = LearningObjective.of(lesson, task, [build()] if task.loss.synops else [], twin)

    def pair() -> Alone:
        classifier = nn.Identity() if task.direct else nn.Linear(width, classes)
        made = Alone(build(), classifier)
        if start is not None:
            made.load_state_dict(start.state_dict())
        return made

    return fit(pair, lesson.samples, objective, training)
