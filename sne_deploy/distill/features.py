"""The teacher's penultimate features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sne_deploy.distill.determinism import evaluating
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.teacher import Teacher


def extract_features(
    teacher: Teacher,
    inputs: Tensor,
    batch_size: int = 512,
    precision: Literal["float32", "bf16"] = "float32",
) -> Tensor:
    """Compute the input of the teacher's last linear map, in evaluation mode.

    Parameters
    ----------
    teacher : Teacher
    inputs : float32 tensor of shape (N, *input_shape)
    batch_size : int
    precision : {"float32", "bf16"}
        bf16: matrix products and convolutions under autocast.

    Returns
    -------
    float32 tensor of shape (N, F)
    """
    import torch

    half = torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bf16")
    with evaluating(teacher), torch.no_grad(), half:
        return torch.cat([teacher.features(part).float() for part in torch.split(inputs, batch_size)])


def training_variance(features: Tensor, floor: float = 0.01) -> Tensor:
    """Variance of each feature over the training set, none below ``floor`` times their mean.

    The floor keeps a feature that hardly varies (a nearly dead unit) from dominating the loss.

    Parameters
    ----------
    features : tensor of shape (N, F)
    floor : float

    Returns
    -------
    tensor of shape (F,), positive

    Raises
    ------
    InputError
        No feature varies at all.
    """
    variance = features.var(dim=0, correction=0)
    mean = float(variance.mean())
    if not mean > 0:
        raise InputError("the teacher's features do not vary over the training set; train the teacher longer")
    return variance.clamp(min=floor * mean)
