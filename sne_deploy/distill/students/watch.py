"""What modules do on validation samples between two epochs: right answers, spikes, synaptic operations.

In floating point, with the weights as they are; with those that the chip stores, where they are fine-tuned
as such. Students that learn features are judged by a linear map of their outputs, as the head will be one:
fitted to some of the validation samples and measured on the others, each in turn. The head that is deployed
is fitted to all training samples, and often a point better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from sne_deploy.distill.students.dropout import everyone
from sne_deploy.distill.students.evaluate import StudentFigures, evaluate_student
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.epochs import Seen, Watch

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.students.joint import JointModel
    from sne_deploy.distill.students.student import StudentTask

SAMPLES = 1000
"""Validation samples that an epoch is judged on, at most: one standard deviation is a point at 90 %."""
FOLDS, STEPS, L2 = 5, 30, 1e-3
"""Of the linear map's fit: parts of the samples, steps, and the penalty that the head has too."""
Change = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True, eq=False)
class Held:
    """Samples that nothing is trained on, where the modules compute.

    Attributes
    ----------
    x : float32 tensor of shape (N, *input_shape), or (N, T, *input_shape) with lengths
    y : int64 tensor of shape (N,)
    lengths : int64 tensor of shape (N,), or None
        Steps of each series.
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None

    @staticmethod
    def of(data: Splits) -> Held:
        """The first validation samples, whose order is random."""
        device, steps = data.x.device, data.validation_lengths
        y = torch.from_numpy(data.y_validation[:SAMPLES])
        lengths = None if steps is None else steps[:SAMPLES].to(device)
        return Held(data.x_validation[:SAMPLES].to(device), y.to(device), lengths)

    def accuracy(self, logits: Tensor) -> float:
        """Fraction of samples whose largest logit is the label's."""
        return float((logits.argmax(dim=1) == self.y).double().mean())

    def run(self, network: nn.Module, task: StudentTask) -> StudentFigures:
        """What a student does, the synapses that its spikes reach included."""
        shape = tuple(self.x.shape[1 if self.lengths is None else 2 :])
        costs = [cost.to(self.x.device) for cost in fan_outs(network, shape)]
        return evaluate_student(network, self.x, task.timesteps, task.readout, self.lengths, costs=costs)


def watch_teacher(held: Held) -> Watch:
    """Of a teacher."""
    return lambda module: Seen(held.accuracy(module(held.x)))


def watch_student(
    held: Held,
    task: StudentTask,
    others: Sequence[nn.Module],
    changed: Change = lambda network: network,
) -> Watch:
    """Of a student's learner; what is run is its network as ``changed``, beside the ``others``."""

    @cache
    def beside() -> list[Tensor]:
        return [_outputs(held.run(other, task)) for other in others]

    def look(learner: nn.Module) -> Seen:
        done = held.run(changed(cast("nn.Module", learner.network)), task)
        own = _outputs(done)
        alone = _accuracy(held, task, [own])
        together = _accuracy(held, task, [own, *beside()]) if others else alone
        return Seen(alone, together, done.spikes_per_sample, done.synops_per_sample)

    return look


def watch_twin(held: Held, task: StudentTask) -> Watch:
    """Of a learner whose network is run as the ReLU twin of ``task``: there are no spikes."""

    def look(learner: nn.Module) -> Seen:
        network = cast("nn.Module", learner.network)
        done = evaluate_student(network, held.x, task.timesteps, task.readout, run=task.run)
        return Seen(_accuracy(held, task, [_outputs(done)]))

    return look


def _accuracy(held: Held, task: StudentTask, outputs: list[Tensor]) -> float:
    """Of students together, by their mean logits or by a linear map of their features."""
    if task.direct:
        return held.accuracy(torch.stack(outputs).mean(dim=0).to(held.y.device))
    found = predicted_classes(torch.cat(outputs, dim=1), held.y.cpu())
    return float((found == held.y.cpu()).double().mean())


def watch_together(held: Held, task: StudentTask) -> Watch:
    """Of a :class:`JointModel`: all students present, through the head that is trained with them."""

    def look(module: nn.Module) -> Seen:
        model = cast("JointModel", module)
        runs = [held.run(network, task) for network in model.networks]
        outputs = [_outputs(done).float().to(held.x.device) for done in runs]
        present = everyone(len(held.x), len(runs)).to(held.x.device)
        spikes = sum(done.spikes_per_sample for done in runs)
        synops = sum(done.synops_per_sample or 0.0 for done in runs)
        return Seen(None, held.accuracy(model(outputs, present)), spikes, synops)

    return look


def predicted_classes(outputs: Tensor, labels: Tensor) -> Tensor:
    r"""Classes that multinomial logistic regression predicts, each sample's by a fit to the other folds.

    .. math:: \min_W \frac{1}{n} \sum_i -\log \mathrm{softmax}(W x_i)_{y_i}
              + \frac{\lambda}{2} \lVert W \rVert^2

    in the outputs x, centred and divided by their deviations, by steps with the fixed upper bound
    :math:`\frac12 X^\top X + \lambda n` of the Hessian (Boehning 1992, Annals of the Institute of Statistical
    Mathematics 44, 197-200), all folds at once.

    Parameters
    ----------
    outputs : float64 tensor of shape (N, F)
    labels : int64 tensor of shape (N,)

    Returns
    -------
    int64 tensor of shape (N,)
    """
    with deterministic(seed=0, threads=1):
        return _predicted(outputs, labels)


def _predicted(outputs: Tensor, labels: Tensor) -> Tensor:
    deviation = outputs.std(dim=0, correction=0)
    x = (outputs - outputs.mean(dim=0)) / torch.where(deviation > 0, deviation, 1.0)
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    fold = torch.arange(len(x)) % FOLDS
    fitted = (fold[None] != torch.arange(FOLDS)[:, None]).to(x.dtype)[:, :, None]
    target = nn.functional.one_hot(labels).to(x.dtype)
    penalty = L2 * fitted.sum(dim=1, keepdim=True)
    bound = x.T @ (fitted * x) / 2 + penalty * torch.eye(x.shape[1], dtype=x.dtype)
    step = torch.linalg.inv(bound)
    weight = torch.zeros(FOLDS, x.shape[1], target.shape[1], dtype=x.dtype)
    for _ in range(STEPS):
        missed = fitted * (target - (x @ weight).softmax(dim=2))
        weight = weight + step @ (x.T @ missed - penalty * weight)
    return (x @ weight).argmax(dim=2)[fold, torch.arange(len(x))]


def _outputs(done: StudentFigures) -> Tensor:
    return torch.from_numpy(done.outputs)
