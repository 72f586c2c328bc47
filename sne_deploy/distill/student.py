"""Distillation of one spiking student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sne_deploy.distill import losses
from sne_deploy.distill.features import training_variance
from sne_deploy.distill.simulate import simulate
from sne_deploy.distill.training import EpochCallback, Objective, Schedule, Terms, Trained, fit
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sne_deploy.ensembles import Readout


@dataclass(frozen=True)
class StudentLoss:
    """Weights of a student's loss terms; a term of weight 0 is not computed.

    Attributes
    ----------
    feature : float
        Of :func:`losses.feature_distillation` on the student's slice.
    cross_entropy : float
        Of :func:`losses.cross_entropy` through a linear classifier on the student's outputs, which is
        trained along and dropped afterwards.
    spike_rate, target_rate : float
        Of :func:`losses.spike_rate`, and its target in spikes per neuron and step.
    """

    feature: float = 1.0
    cross_entropy: float = 0.0
    spike_rate: float = 0.0
    target_rate: float = 0.1

    def __post_init__(self) -> None:
        weights = (self.feature, self.cross_entropy, self.spike_rate)
        valid = all(weight >= 0 for weight in weights) and 0 <= self.target_rate <= 1
        if not (valid and self.feature + self.cross_entropy > 0):
            raise InputError(
                f"{self}: weights must be >= 0, feature or cross_entropy > 0, target_rate in 0..1"
            )


@dataclass(frozen=True)
class StudentTask:
    """What a student computes: T steps of constant current, read out at the end.

    Attributes
    ----------
    timesteps : int
    readout : Readout
    loss : StudentLoss
    """

    timesteps: int
    readout: Readout = "v_mean"
    loss: StudentLoss = StudentLoss()


def train_student(
    build: Callable[[], nn.Module],
    inputs: Tensor,
    features: Tensor,
    labels: Tensor,
    task: StudentTask,
    schedule: Schedule,
    on_epoch: EpochCallback | None = None,
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

    Returns
    -------
    Trained
        Its module is the network alone. Its outputs are in the student's own units: the features less their
        training mean, divided by the root of their training variance.
    """
    from torch import nn

    classes = int(labels.max()) + 1

    def build_pair() -> nn.ModuleDict:
        return nn.ModuleDict({"network": build(), "classifier": nn.Linear(features.shape[1], classes)})

    objective = _objective(features, task)
    trained = fit(build_pair, (inputs, features, labels), objective, schedule, on_epoch)
    return Trained(trained.module["network"], trained.log)


def _objective(features: Tensor, task: StudentTask) -> Objective[nn.ModuleDict]:
    mean, variance = features.mean(dim=0), training_variance(features)

    def objective(pair: nn.ModuleDict, batch: Sequence[Tensor]) -> Terms:
        inputs, targets, labels = batch
        run = simulate(pair["network"], inputs, task.timesteps, task.readout)
        weights, terms = task.loss, {}
        if weights.feature:
            predicted = run.outputs * variance.sqrt() + mean
            terms["feature"] = weights.feature * losses.feature_distillation(predicted, targets, variance)
        if weights.cross_entropy:
            logits = pair["classifier"](run.outputs)
            terms["cross_entropy"] = weights.cross_entropy * losses.cross_entropy(logits, labels)
        if weights.spike_rate:
            terms["spike_rate"] = weights.spike_rate * losses.spike_rate(run.rates, weights.target_rate)
        return terms

    return objective
