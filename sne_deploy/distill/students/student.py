"""Distillation of one spiking student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sne_deploy.distill import losses
from sne_deploy.distill.losses import training_variance
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.simulate import Simulation, simulate
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import EpochCallback, Objective, Schedule, Terms, Trained, fit
from sne_deploy.distill.training.resume import ResumePoint
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Readout

if TYPE_CHECKING:
    from torch import Tensor, nn

Run = Callable[["nn.Module", "Tensor", int, Readout], Simulation]
"""Runs a network on a batch for so many steps with a readout: :func:`simulate`, or a quantised version."""


@dataclass(frozen=True)
class StudentLoss:
    """Weights of a student's loss terms; a term of weight 0 is not computed.

    Attributes
    ----------
    feature : float
        Of :func:`losses.feature_distillation` on the student's slice.
    cross_entropy : float
        Of :func:`losses.cross_entropy` through a linear classifier on the student's outputs, which is
        trained along and dropped afterwards, or of the outputs themselves where they are logits.
    spike_rate, target_rate : float
        Of :func:`losses.spike_rate`, and its target in spikes per neuron and step.
    logits, tau_student, tau_teacher : float
        Of :func:`losses.logits_distillation` on the same classifier's logits, and its temperatures.
    synops, synop_reference : float
        Of :func:`losses.synop_cost`, and the synaptic operations per sample that it is relative to; None:
        those of all neurons spiking at every step.
    """

    feature: float = 1.0
    cross_entropy: float = 0.0
    spike_rate: float = 0.0
    target_rate: float = 0.1
    logits: float = 0.0
    tau_student: float = 1.0
    tau_teacher: float = 1.0
    synops: float = 0.0
    synop_reference: float | None = None

    def __post_init__(self) -> None:
        weights = (self.feature, self.cross_entropy, self.spike_rate, self.logits, self.synops)
        valid = all(weight >= 0 for weight in weights) and 0 <= self.target_rate <= 1
        if not (valid and self.feature + self.cross_entropy + self.logits > 0):
            raise InputError(
                f"{self}: weights must be >= 0, feature, cross_entropy or logits > 0, target_rate in 0..1"
            )
        losses.check_temperatures(self.tau_student, self.tau_teacher)


@dataclass(frozen=True)
class StudentTask:
    """What a student computes: T steps of constant current, read out at the end.

    Attributes
    ----------
    timesteps : int
    readout : Readout
    loss : StudentLoss
    direct : bool
        The outputs are the logits; otherwise they are features, and a classifier is trained along.
    """

    timesteps: int
    readout: Readout = "v_mean"
    loss: StudentLoss = StudentLoss()
    direct: bool = False

    def __post_init__(self) -> None:
        if self.direct and self.loss.feature:
            raise InputError(
                f"loss: feature {self.loss.feature} needs features; outputs are logits: set it to 0"
            )


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
        return FeatureUnits(features.mean(dim=0), training_variance(features))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Feature distillation of outputs in the student's units, targets in the teacher's."""
        predicted = outputs * self.variance.sqrt() + self.mean
        return losses.feature_distillation(predicted, targets, self.variance)


def train_student(
    build: Callable[[], nn.Module],
    inputs: Tensor,
    features: Tensor,
    labels: Tensor,
    task: StudentTask,
    schedule: Schedule,
    on_epoch: EpochCallback | None = None,
    *,
    teacher_logits: Tensor | None = None,
    run: Run = simulate,
    resume: ResumePoint | None = None,
) -> Trained[nn.Module]:
    """Distil a spiking student on its slice of the teacher's features, by surrogate gradients.

    Parameters
    ----------
    build : callable
        Makes the untrained network: a sequence of torch layers and Norse cells.
    inputs : float32 tensor of shape (N, *input_shape)
        The current at every step.
    features : float32 tensor of shape (N, F)
        The teacher's features on the same samples: the student's slice.
    labels : int64 tensor of shape (N,)
    task : StudentTask
    schedule : Schedule
    on_epoch : callable, optional
    teacher_logits : float32 tensor of shape (N, classes), optional
        The teacher's on the same samples; ``logits`` needs them.
    run : Run
        How the network is run while it is trained.
    resume : ResumePoint, optional

    Returns
    -------
    Trained
        Its module is the network alone. Its outputs are logits, or in the student's own units: the features
        less their training mean, divided by the root of their training variance.

    Raises
    ------
    InputError
        As :func:`sne_deploy.distill.training.loop.fit`; or ``logits`` without the teacher's logits.
    """
    from torch import nn

    classes = class_count(labels, teacher_logits, task.loss.logits)
    costs = fan_outs_of(build, inputs, schedule.seed) if task.loss.synops else ()

    def build_pair() -> nn.ModuleDict:
        classifier = nn.Identity() if task.direct else nn.Linear(features.shape[1], classes)
        return nn.ModuleDict({"network": build(), "classifier": classifier})

    objective = _objective(FeatureUnits.of(features), task, costs, run)
    data = (
        (inputs, features, labels) if teacher_logits is None else (inputs, features, labels, teacher_logits)
    )
    trained = fit(build_pair, data, objective, schedule, on_epoch, resume=resume)
    return Trained(trained.module["network"], trained.log)


def classification_terms(
    logits: Tensor, labels: Tensor, teacher: Tensor | None, weights: StudentLoss
) -> dict[str, Tensor]:
    """Cross-entropy and distillation of logits, each where it has a weight and a reference."""
    terms = {}
    if weights.cross_entropy:
        terms["cross_entropy"] = weights.cross_entropy * losses.cross_entropy(logits, labels)
    if weights.logits and teacher is not None:
        divergence = losses.logits_distillation(logits, teacher, weights.tau_student, weights.tau_teacher)
        terms["logits"] = weights.logits * divergence
    return terms


def activity_terms(
    rates: Sequence[Tensor], costs: Sequence[Tensor], timesteps: int, weights: StudentLoss
) -> dict[str, Tensor]:
    """What spikes cost: their rate's distance from the target, and their synaptic operations."""
    terms = {}
    if weights.spike_rate:
        terms["spike_rate"] = weights.spike_rate * losses.spike_rate(rates, weights.target_rate)
    if weights.synops:
        cost = losses.synop_cost(rates, costs, timesteps, weights.synop_reference)
        terms["synops"] = weights.synops * cost
    return terms


def class_count(labels: Tensor, teacher_logits: Tensor | None, weight: float) -> int:
    """Classes of a task, from the teacher's logits where there are any.

    Raises
    ------
    InputError
        The loss has a ``weight`` on the teacher's logits, but there are none; or a label is beyond them.
    """
    highest = int(labels.max())
    if teacher_logits is None:
        if weight:
            raise InputError(f"loss: logits {weight} needs the teacher's logits; give teacher_logits")
        return highest + 1
    if highest >= teacher_logits.shape[1]:
        raise InputError(f"label {highest} is beyond the teacher's {teacher_logits.shape[1]} classes")
    return int(teacher_logits.shape[1])


def fan_outs_of(build: Callable[[], nn.Module], inputs: Tensor, seed: int) -> tuple[Tensor, ...]:
    """Fan-outs of the network that ``build`` makes for these inputs, on their device."""
    with deterministic(seed):
        network = build()
    return tuple(count.to(inputs.device) for count in fan_outs(network, tuple(inputs.shape[1:])))


def _objective(
    units: FeatureUnits, task: StudentTask, costs: Sequence[Tensor], run: Run
) -> Objective[nn.ModuleDict]:
    weights = task.loss

    def objective(pair: nn.ModuleDict, batch: Sequence[Tensor]) -> Terms:
        inputs, targets, labels, *teacher = batch
        done = run(pair["network"], inputs, task.timesteps, task.readout)
        terms: dict[str, Tensor] = {}
        if weights.feature:
            terms["feature"] = weights.feature * units.loss(done.outputs, targets)
        if weights.cross_entropy or weights.logits:
            logits = pair["classifier"](done.outputs)
            terms |= classification_terms(logits, labels, teacher[0] if teacher else None, weights)
        terms |= activity_terms(done.rates, costs, task.timesteps, weights)
        return terms

    return objective
