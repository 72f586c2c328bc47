"""Teachers of ours, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.distill.training.determinism import evaluating
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from sne_deploy.distill.experiment import TeacherModel

Shape = tuple[int, ...]


def teacher_network(described: TeacherModel, input_shape: Shape, classes: int) -> Teacher:
    """Make an untrained teacher.

    ``mlp``: two hidden layers. ``cnn``: two convolutions with pooling. ``resnet9``: eight convolutions of
    width, 2, 4 and 8 widths in two residual blocks, with batch normalisation. All end in ``features`` ReLUs
    and one linear map.

    Raises
    ------
    InputError
        The architecture does not fit the input.
    """
    makers: dict[str, Callable[[TeacherModel, Shape], nn.Module]] = {
        "mlp": _mlp,
        "cnn": _cnn,
        "resnet9": _resnet9,
    }
    if described.architecture is None:
        raise InputError("teacher: there is no architecture to train; it is given as ONNX")
    if described.architecture != "mlp" and len(input_shape) != 3:
        raise InputError(
            f"teacher.architecture {described.architecture!r} needs images (channels, height, width), not "
            f"{input_shape}"
        )
    try:
        features = makers[described.architecture](described, input_shape)
        with evaluating(features), torch.no_grad():
            features(torch.zeros(1, *input_shape))
        return Teacher(features, nn.Linear(described.features, classes))
    except RuntimeError as error:
        raise InputError(
            f"teacher.architecture {described.architecture!r} of width {described.width} and "
            f"{described.features} features does not fit samples of shape {input_shape}: "
            f"{str(error).splitlines()[0][:200]}"
        ) from None


def _mlp(described: TeacherModel, input_shape: Shape) -> nn.Module:
    inputs = int(np.prod(input_shape))
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, described.width),
        nn.ReLU(),
        nn.Dropout(described.dropout),
        nn.Linear(described.width, described.features),
        nn.ReLU(),
    )


def _cnn(described: TeacherModel, input_shape: Shape) -> nn.Module:
    channels, height, width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, described.width, 3, padding=1),
        nn.BatchNorm2d(described.width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(described.width, 2 * described.width, 3, padding=1),
        nn.BatchNorm2d(2 * described.width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(described.dropout),
        nn.Linear(2 * described.width * (height // 4) * (width // 4), described.features),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Add what the inner network makes of x."""
        result: Tensor = x + self.inner(x)
        return result


def _block(channels_in: int, channels_out: int, pool: bool = False) -> list[nn.Module]:
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    after = [nn.BatchNorm2d(channels_out), nn.ReLU()]
    return [conv, nn.MaxPool2d(2), *after] if pool else [conv, *after]


def _resnet9(described: TeacherModel, input_shape: Shape) -> nn.Module:
    width = described.width
    return nn.Sequential(
        *_block(input_shape[0], width),
        *_block(width, 2 * width, pool=True),
        _Residual(nn.Sequential(*_block(2 * width, 2 * width), *_block(2 * width, 2 * width))),
        *_block(2 * width, 4 * width, pool=True),
        *_block(4 * width, 8 * width, pool=True),
        _Residual(nn.Sequential(*_block(8 * width, 8 * width), *_block(8 * width, 8 * width))),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(described.dropout),
        nn.Linear(8 * width, described.features, bias=False),
        nn.BatchNorm1d(described.features),
        nn.ReLU(),
    )
