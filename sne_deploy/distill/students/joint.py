"""Fine-tuning of all students together, through the head that joins them, with students absent at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.dropout import StudentDropout, everyone
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.networks import trainable_copy
from sne_deploy.distill.students.simulate import Run
from sne_deploy.distill.students.student import Learner, LearningObjective, Lesson, StudentTask
from sne_deploy.distill.training.loop import Training, fit
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head
from sne_deploy.runtime.head import check_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

MOMENTUM = 0.1
"""Of the running mean of every output, per batch."""
MEANS = 20_000
"""Samples that the final means are taken over, at most."""


@dataclass(frozen=True)
class JointTask(StudentTask):
    """What the students compute together; ``cross_entropy`` and ``logits`` are of the head's logits.

    Attributes
    ----------
    dropout : StudentDropout
        Who is absent. The slice of an absent student enters the head as its running training mean.
    subset_bias : bool
        Also train a bias for each number of present students, 0 for all of them; otherwise the head has none.
    each : tuple of Run
        How each network is run; empty: all as ``run`` says.
    """

    loss: StudentLoss = field(default_factory=lambda: StudentLoss(feature=1.0, cross_entropy=1.0))
    dropout: StudentDropout = everyone
    subset_bias: bool = False
    each: tuple[Run, ...] = ()

    def runs(self, count: int) -> tuple[Run, ...]:
        """How each of the networks is run."""
        return self.each or super().runs(count)


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


class JointModel(Learner):
    """Students, a linear head, and the running mean that stands in for absent ones."""

    mean: Tensor

    def __init__(self, networks: Sequence[nn.Module], head: Head, task: JointTask) -> None:
        super().__init__()
        weight, bias, mean = (
            torch.tensor(np.asarray(t)).float() for t in (head.weight, head.bias, head.mean)
        )
        self.dropout = task.dropout
        self.networks = nn.ModuleList(networks)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.register_buffer("mean", mean)
        rows = torch.zeros(len(self.networks) - 1, len(bias))
        if task.subset_bias and head.subset_bias is not None:
            rows = torch.tensor(head.subset_bias[:-1] - head.subset_bias[-1:]).float()
        # Flat, as biases are, which weight decay spares.
        self.subset_bias = nn.Parameter(rows.flatten(), requires_grad=task.subset_bias)

    def biases(self) -> Tensor:
        """The bias of each number of present students, shape (K, classes)."""
        rows = torch.cat([self.subset_bias, torch.zeros_like(self.bias)])
        return rows.view(-1, len(self.bias))

    def logits(self, outputs: Sequence[Tensor]) -> Tensor:
        """Logits with students absent at random."""
        first = outputs[0]
        present = self.dropout(len(first), len(outputs)).to(first.device)
        made: Tensor = self(outputs, present)
        return made

    def forward(self, outputs: Sequence[Tensor], present: Tensor) -> Tensor:
        """Logits of shape (N, classes) from each student's outputs (N, n_out) and who is present (N, K)."""
        joined = torch.cat(list(outputs), dim=1)
        if self.training:
            self.mean.lerp_(joined.detach().float().mean(dim=0), MOMENTUM)  # bf16 from an autocast map
        there = [present[:, k, None].expand_as(output) for k, output in enumerate(outputs)]
        seen = torch.where(torch.cat(there, dim=1), joined, self.mean)
        return seen @ self.weight.T + self.bias + self.biases()[present.sum(dim=1) - 1]


def tune_together(
    networks: Sequence[nn.Module], head: Head, lesson: Lesson, task: JointTask, training: Training
) -> Joint:
    """Train copies of all students and of the head further, by the head's loss and each student's own.

    Parameters
    ----------
    networks : sequence of nn.Module
        Trained students.
    head : Head
        Linear, fitted on their outputs: see :func:`sne_deploy.distill.students.head.fit_head`.
    lesson : Lesson
        With a slice for each student.
    task : JointTask
    training : Training

    Raises
    ------
    InputError
        Networks, slices and head do not match.
    """
    _check(networks, head, lesson)
    lesson.classes(task.loss)
    objective = LearningObjective.of(lesson, task, networks)
    trained = fit(
        lambda: JointModel([trainable_copy(network) for network in networks], head, task),
        lesson.samples,
        objective,
        training,
    )
    students = tuple(trained.module.networks)
    return Joint(students, _head(trained.module, lesson.first(MEANS), task), trained.log)


def _check(networks: Sequence[nn.Module], head: Head, lesson: Lesson) -> None:
    count = len(networks)
    if count != len(lesson.features) or not networks:
        raise InputError(f"joint training: {count} networks and {len(lesson.features)} slices; give one each")
    if head.kind != "linear":
        raise InputError(
            f"joint training: head {head.kind!r} has nothing to train; give a linear one: fit_head"
        )
    check_head(head, [part.shape[1] for part in lesson.features])


def _head(model: JointModel, lesson: Lesson, task: JointTask) -> Head:
    """The trained head in float64, with the means of what the students now give on a lesson's samples."""
    given = (lesson.inputs, task.timesteps, task.readout, lesson.lengths)
    means = [evaluate_student(network, *given).outputs.mean(axis=0) for network in model.networks]
    tensors = (model.weight, model.bias, model.biases())
    weight, bias, rows = (tensor.detach().double().numpy(force=True) for tensor in tensors)
    return Head("linear", weight, bias, np.concatenate(means), rows if task.subset_bias else None)
