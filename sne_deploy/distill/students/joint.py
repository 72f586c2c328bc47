"""Fine-tuning of all students together, through the head that joins them, with students absent at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sne_deploy.distill.students.dropout import NoDropout, StudentDropout
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.networks import trainable_copy
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.student import (
    FeatureUnits,
    Run,
    StudentLoss,
    activity_terms,
    class_count,
    classification_terms,
)
from sne_deploy.distill.training.loop import EpochCallback, Objective, Schedule, Terms, fit
from sne_deploy.distill.training.resume import ResumePoint
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head, Readout
from sne_deploy.runtime.head import check_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

MOMENTUM = 0.1
"""Of the running mean of every output, per batch."""
MEANS = 20_000
"""Samples that the final means are taken over, at most."""


@dataclass(frozen=True)
class JointTask:
    """What the students compute together.

    Attributes
    ----------
    timesteps : int
    readouts : tuple of Readout
        One per student.
    loss : StudentLoss
        ``cross_entropy`` and ``logits`` are of the head's logits; ``feature`` is the mean of the students'
        own; ``spike_rate`` is the mean over all their layers; ``synops`` adds all their operations.
    dropout : StudentDropout
        Who is absent. The slice of an absent student enters the head as its running training mean.
    subset_bias : bool
        Also train a bias for each number of present students, 0 for all of them; otherwise the head has none.
    """

    timesteps: int
    readouts: tuple[Readout, ...]
    loss: StudentLoss = field(default_factory=lambda: StudentLoss(feature=1.0, cross_entropy=1.0))
    dropout: StudentDropout = field(default_factory=NoDropout)
    subset_bias: bool = False


@dataclass(frozen=True, eq=False)
class Joint:
    """Students and head after training together.

    Attributes
    ----------
    networks : tuple of nn.Module
        In evaluation mode.
    head : Head
        ``mean`` is the mean of the final outputs on the first ``MEANS`` training samples.
    log : tuple of mapping
        Mean of every loss term in each epoch.
    """

    networks: tuple[nn.Module, ...]
    head: Head
    log: tuple[Mapping[str, float], ...]


class JointModel(nn.Module):
    """Students, a linear head, and the running mean that stands in for absent ones."""

    mean: Tensor

    def __init__(self, networks: Sequence[nn.Module], head: Head, subset_bias: bool) -> None:
        super().__init__()
        weight, bias, mean = (
            torch.tensor(np.asarray(t)).float() for t in (head.weight, head.bias, head.mean)
        )
        self.networks = nn.ModuleList(networks)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.register_buffer("mean", mean)
        rows = torch.zeros(len(self.networks) - 1, len(bias))
        if subset_bias and head.subset_bias is not None:
            rows = torch.tensor(head.subset_bias[:-1] - head.subset_bias[-1:]).float()
        # Flat, as biases are, which weight decay spares.
        self.subset_bias = nn.Parameter(rows.flatten(), requires_grad=subset_bias)

    def biases(self) -> Tensor:
        """The bias of each number of present students, shape (K, classes)."""
        rows = torch.cat([self.subset_bias, torch.zeros_like(self.bias)])
        return rows.view(-1, len(self.bias))

    def forward(self, outputs: Sequence[Tensor], present: Tensor) -> Tensor:
        """Logits of shape (N, classes) from each student's outputs (N, n_out) and who is present (N, K)."""
        joined = torch.cat(list(outputs), dim=1)
        if self.training:
            self.mean.lerp_(joined.detach().float().mean(dim=0), MOMENTUM)  # bf16 from an autocast map
        widths = torch.tensor([output.shape[1] for output in outputs], device=present.device)
        seen = torch.where(present.repeat_interleave(widths, dim=1), joined, self.mean)
        return seen @ self.weight.T + self.bias + self.biases()[present.sum(dim=1) - 1]


def tune_together(
    networks: Sequence[nn.Module],
    head: Head,
    inputs: Tensor,
    features: Sequence[Tensor],
    labels: Tensor,
    task: JointTask,
    schedule: Schedule,
    on_epoch: EpochCallback | None = None,
    *,
    teacher_logits: Tensor | None = None,
    run: Run = simulate,
    resume: ResumePoint | None = None,
) -> Joint:
    """Train copies of all students and of the head further, by the head's loss and each student's own.

    Parameters
    ----------
    networks : sequence of nn.Module
        Trained students; they are not changed.
    head : Head
        Linear, fitted on their outputs: see :func:`sne_deploy.distill.students.head.fit_head`.
    inputs : float32 tensor of shape (N, *input_shape)
        The current at every step.
    features : sequence of float32 tensors of shape (N, n_out)
        The teacher's features on the same samples: each student's slice.
    labels : int64 tensor of shape (N,)
    task : JointTask
    schedule : Schedule
    on_epoch : callable, optional
    teacher_logits : float32 tensor of shape (N, classes), optional
        ``logits`` needs them.
    run : Run
        How a network is run while it is trained.
    resume : ResumePoint, optional

    Raises
    ------
    InputError
        Networks, readouts, slices and head do not match; or as :func:`sne_deploy.distill.training.loop.fit`.
    """
    _check(networks, head, features, task)
    class_count(labels, teacher_logits, task.loss.logits)
    costs: list[Tensor] = []
    if task.loss.synops:
        shape = tuple(inputs.shape[1:])
        costs = [cost.to(inputs.device) for network in networks for cost in fan_outs(network, shape)]

    def build() -> JointModel:
        return JointModel([trainable_copy(network) for network in networks], head, task.subset_bias)

    data = [inputs, labels, *features, *([] if teacher_logits is None else [teacher_logits])]
    objective = _objective([FeatureUnits.of(part) for part in features], task, costs, run)
    trained = fit(build, data, objective, schedule, on_epoch, resume=resume)
    students = tuple(trained.module.networks)
    return Joint(students, _head(trained.module, inputs, task), trained.log)


def _check(networks: Sequence[nn.Module], head: Head, features: Sequence[Tensor], task: JointTask) -> None:
    counts = (len(networks), len(features), len(task.readouts))
    if len(set(counts)) != 1 or not networks:
        raise InputError(
            "joint training: {} networks, {} slices and {} readouts; give one each".format(*counts)
        )
    if head.kind != "linear":
        raise InputError(
            f"joint training: head {head.kind!r} has nothing to train; give a linear one: fit_head"
        )
    check_head(head, [part.shape[1] for part in features])


def _objective(
    units: Sequence[FeatureUnits], task: JointTask, costs: Sequence[Tensor], run: Run
) -> Objective[JointModel]:
    weights, count = task.loss, len(units)

    def objective(model: JointModel, batch: Sequence[Tensor]) -> Terms:
        inputs, labels, targets, teacher = batch[0], batch[1], batch[2 : 2 + count], batch[2 + count :]
        runs = [
            run(network, inputs, task.timesteps, readout)
            for network, readout in zip(model.networks, task.readouts, strict=True)
        ]
        outputs = [done.outputs for done in runs]
        terms: dict[str, Tensor] = {}
        if weights.feature:
            own = [unit.loss(o, t) for unit, o, t in zip(units, outputs, targets, strict=True)]
            terms["feature"] = weights.feature * torch.stack(own).mean()
        present = task.dropout.draw(len(inputs), count).to(inputs.device)
        logits = model(outputs, present)
        terms |= classification_terms(logits, labels, teacher[0] if teacher else None, weights)
        rates = [rate for done in runs for rate in done.rates]
        return terms | activity_terms(rates, costs, task.timesteps, weights)

    return objective


def _head(model: JointModel, inputs: Tensor, task: JointTask) -> Head:
    """The trained head in float64, with the means of what the students now give on the first samples."""
    means = [
        evaluate_student(network, inputs[:MEANS], task.timesteps, readout).outputs.mean(axis=0)
        for network, readout in zip(model.networks, task.readouts, strict=True)
    ]
    tensors = (model.weight, model.bias, model.biases())
    weight, bias, rows = (tensor.detach().double().numpy(force=True) for tensor in tensors)
    return Head("linear", weight, bias, np.concatenate(means), rows if task.subset_bias else None)
