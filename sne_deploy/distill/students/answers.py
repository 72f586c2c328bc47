"""A teacher's answers to augmented samples: kept for some versions of each, or given anew in each step.

In either case an epoch shows every sample once. A sample's version is the few numbers that its augmentation
draws; its image is made of them in every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from sne_deploy.distill.teacher.network import extract_features

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.data.augment import Augmentation, Drawn
    from sne_deploy.distill.teacher.network import Teacher
    from sne_deploy.distill.training.loop import Samples


class Answers(Protocol):
    """What a teacher says of augmented samples."""

    def of(self, student: int) -> Answers:
        """To one student, with its slice of the features."""
        ...

    def first(self, samples: int) -> Answers:
        """To the first samples."""
        ...

    def samples(self, inputs: Tensor, labels: Tensor) -> Samples:
        """To train on; a batch is images, labels, each student's slice of features, and logits."""
        ...


@dataclass(frozen=True, eq=False)
class Version:
    """Every sample, augmented once.

    Attributes
    ----------
    drawn : tuple of tensors of shape (N,)
    told : tensor of shape (N, F + classes), or (N, classes)
        The teacher's features, where somebody learns them, and logits.
    """

    drawn: Drawn
    told: Tensor


@dataclass(frozen=True, eq=False)
class StoredAnswers:
    """Answers to a fixed number of versions.

    Attributes
    ----------
    augmentation : Augmentation
    copies : int
        Versions; epoch e, from 0, shows number e modulo ``copies``.
    version : callable
        A version by its number, from 0: asked for once in each of its epochs.
    parts : tuple of int64 tensors
        Columns of ``told`` that each student learns.
    classes : int
    rows : int or None
        Only so many samples, the first.
    """

    augmentation: Augmentation
    copies: int
    version: Callable[[int], Version]
    parts: tuple[Tensor, ...]
    classes: int
    rows: int | None = None

    def of(self, student: int) -> StoredAnswers:
        """To one student."""
        return replace(self, parts=(self.parts[student],))

    def first(self, samples: int) -> StoredAnswers:
        """To the first samples."""
        return replace(self, rows=samples)

    def samples(self, inputs: Tensor, labels: Tensor) -> Samples:
        """To train on."""
        return _StoredSamples(self, inputs, labels)


@dataclass(frozen=True, eq=False)
class _StoredSamples:
    answers: StoredAnswers
    inputs: Tensor
    labels: Tensor

    def epoch(self, epoch: int) -> Sequence[Tensor]:
        """Images as they are, labels, what the teacher told of this epoch's version, and what was drawn."""
        version, rows = self.answers.version(epoch % self.answers.copies), self.answers.rows
        return (self.inputs, self.labels, version.told[:rows], *(one[:rows] for one in version.drawn))

    def batch(self, rows: Sequence[Tensor]) -> Sequence[Tensor]:
        """Rows as a batch."""
        inputs, labels, told, *drawn = rows
        images = self.answers.augmentation.make(inputs, tuple(drawn))
        return _batch(images, labels, told, self.answers.parts, told[:, -self.answers.classes :])


@dataclass(frozen=True, eq=False)
class FreshAnswers:
    """A teacher that is asked in each step; what is drawn is torch's random state's.

    Attributes
    ----------
    teacher : Teacher
        In evaluation mode.
    augmentation : Augmentation
    parts : tuple of int64 tensors
        Features of each student.
    precision : "float32" or "bf16"
        In which the teacher computes.
    """

    teacher: Teacher
    augmentation: Augmentation
    parts: tuple[Tensor, ...]
    precision: Literal["float32", "bf16"] = "float32"

    def of(self, student: int) -> FreshAnswers:
        """To one student."""
        return replace(self, parts=(self.parts[student],))

    def first(self, samples: int) -> FreshAnswers:  # noqa: ARG002  as all answers
        """To whatever it is asked."""
        return self

    def samples(self, inputs: Tensor, labels: Tensor) -> Samples:
        """To train on."""
        return _FreshSamples(self, inputs, labels)


@dataclass(frozen=True, eq=False)
class _FreshSamples:
    answers: FreshAnswers
    inputs: Tensor
    labels: Tensor

    def epoch(self, epoch: int) -> Sequence[Tensor]:  # noqa: ARG002  as all samples
        """Images and labels."""
        return self.inputs, self.labels

    def batch(self, rows: Sequence[Tensor]) -> Sequence[Tensor]:
        """Rows as a batch: augmented, and answered."""
        asked = self.answers
        images, labels = asked.augmentation(rows)
        features, logits = answered(asked.teacher, images, asked.precision)
        return _batch(images, labels, features, asked.parts, logits)


def answered(
    teacher: Teacher, images: Tensor, precision: Literal["float32", "bf16"]
) -> tuple[Tensor, Tensor]:
    """Features and logits: float32 tensors of shape (N, F) and (N, classes)."""
    features = extract_features(teacher, images, precision=precision)
    with torch.no_grad():
        logits: Tensor = teacher.classifier(features)
    return features, logits


def answers_to(
    teacher: Teacher,
    augmentation: Augmentation,
    inputs: Tensor,
    drawn: Drawn,
    precision: Literal["float32", "bf16"],
    with_features: bool,
    batch_size: int = 512,
) -> Tensor:
    """What :class:`Version` keeps of the teacher's answers to all samples, made as in training."""
    told = []
    for rows in torch.split(torch.arange(len(inputs), device=inputs.device), batch_size):
        images = augmentation.make(inputs[rows], tuple(one[rows] for one in drawn))
        features, logits = answered(teacher, images, precision)
        told.append(torch.cat([features, logits], dim=1) if with_features else logits)
    return torch.cat(told)


def _batch(
    images: Tensor, labels: Tensor, features: Tensor, parts: Sequence[Tensor], logits: Tensor
) -> Sequence[Tensor]:
    return (images, labels, *(features[:, part] for part in parts), logits)
