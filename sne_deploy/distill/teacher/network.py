"""The teacher: a network that ends in features and one linear map; its training and its features."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from sne_deploy.distill import losses
from sne_deploy.distill.training.determinism import evaluating
from sne_deploy.distill.training.loop import Terms, Trained, Training, fit
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from sne_deploy.distill.teacher.partition import Parts

Samples = tuple["Tensor", "Tensor"]


class Teacher(nn.Module):
    """``classifier(features(x))``.

    Parameters
    ----------
    features : nn.Module
        Maps ``(N, *input_shape)`` to ``(N, F)``.
    classifier : nn.Linear
        Maps (N, F) to (N, classes).
    """

    def __init__(self, features: nn.Module, classifier: nn.Linear) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Apply both.

        Parameters
        ----------
        x : tensor of shape ``(N, *input_shape)``

        Returns
        -------
        tensor of shape ``(N, classes)``
            Logits.
        """
        logits: Tensor = self.classifier(self.features(x))
        return logits


def extract_features(
    teacher: Teacher,
    inputs: Tensor,
    batch_size: int = 512,
    precision: Literal["float32", "bf16"] = "float32",
) -> Tensor:
    """Compute the input of the teacher's last linear map, in evaluation mode: float32, of shape (N, F).

    ``inputs`` have shape (N, *input_shape); bf16 takes matrix products and convolutions under autocast.
    """
    half = torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bf16")
    with evaluating(teacher), torch.no_grad(), half:
        return torch.cat([teacher.features(part).float() for part in torch.split(inputs, batch_size)])


def train_teacher(
    build: Callable[[], Teacher],
    data: Samples,
    training: Training,
    *,
    label_smoothing: float = 0.0,
) -> Trained[Teacher]:
    """Train a teacher with cross-entropy.

    Parameters
    ----------
    build : callable
        Makes the untrained teacher.
    data : pair of tensors
        float32 inputs of shape (N, *input_shape), int64 labels of shape (N,).
    training : Training
        Its ``transform`` augments each batch (inputs, labels).
    label_smoothing : float
        Part of a label's weight that all classes share.
    """

    def objective(module: Teacher, batch: Sequence[Tensor]) -> Terms:
        return {"cross_entropy": losses.cross_entropy(module(batch[0]), batch[1], label_smoothing)}

    return fit(build, data, objective, training)


def decorrelate_teacher(
    teacher: Teacher, data: Samples, parts: Parts, weight: float, training: Training
) -> Trained[Teacher]:
    r"""Train a copy of a teacher further with cross-entropy and decorrelation between its parts.

    .. math:: L = L_{\mathrm{CE}} + \gamma \, L_{\mathrm{decorrelation}}

    Parameters
    ----------
    teacher : Teacher
        Trained; it is not changed.
    data : pair of tensors
        As :func:`train_teacher`.
    parts : tuple of int arrays
        A partition of the features in at least two parts, which the students will learn.
    weight : float
        gamma, positive.
    training : Training
        Of large batches: the correlation within a batch of B has a noise of 1 / (B - 1).

    Returns
    -------
    Trained
        Its log has the terms ``cross_entropy`` and ``decorrelation``, the latter times gamma.

    Raises
    ------
    InputError
        ``weight`` is not positive, batches have a single sample, or the parts are no partition.
    """
    if not weight > 0:
        raise InputError(
            f"decorrelation: weight {weight} must be positive; keep the teacher as it is instead"
        )
    if training.schedule.batch_size < 2:
        raise InputError(
            f"decorrelation: batch_size {training.schedule.batch_size} has no correlation; use 64 or more"
        )

    def objective(module: Teacher, batch: Sequence[Tensor]) -> Terms:
        features = module.features(batch[0])
        return {
            "cross_entropy": losses.cross_entropy(module.classifier(features), batch[1]),
            "decorrelation": weight * losses.decorrelation(features, parts),
        }

    return fit(lambda: copy.deepcopy(teacher), data, objective, training)
