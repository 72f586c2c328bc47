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
MAX_BLOCKS = 8
"""Of a temporal network: they reach over 511 steps."""


def teacher_network(described: TeacherModel, input_shape: Shape, classes: int) -> Teacher:
    """Make an untrained teacher.

    ``mlp``: two hidden layers. ``cnn``: two convolutions with pooling. ``resnet9``: eight convolutions of
    width, 2, 4 and 8 widths in two residual blocks, with batch normalisation. ``tcn``: convolutions over the
    steps of a series, see :class:`TemporalConvolutions`. All end in ``features`` ReLUs and one linear map.

    ``input_shape`` is that of a whole sample: (T, ...) of a series.

    Raises
    ------
    InputError
        The architecture does not fit the input.
    """
    makers: dict[str, Callable[[TeacherModel, Shape], nn.Module]] = {
        "mlp": _mlp,
        "cnn": _cnn,
        "resnet9": _resnet9,
        "tcn": _tcn,
    }
    if described.architecture is None:
        raise InputError("teacher: there is no architecture to train; it is given as ONNX")
    if described.architecture in ("cnn", "resnet9") and len(input_shape) != 3:
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
        *([nn.BatchNorm1d(inputs)] if described.normalise else []),
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


class TemporalConvolutions(nn.Module):
    """Residual convolutions over time, dilated by 1, 2, 4, ... until they reach over a series; then the mean.

    Each block is x + dropout(relu(norm(conv(x)))), of three taps. A series ends with its last step that is
    not all zeros. What comes after it is kept at zero and not in the mean over time, so that the zeros behind
    a short series change nothing.
    """

    def __init__(self, inputs: int, width: int, steps: int, dropout: float) -> None:
        super().__init__()
        self.entry = nn.Conv1d(inputs, width, 1)
        dilations = [2**power for power in range(max(1, min(MAX_BLOCKS, steps.bit_length() - 1)))]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (N, width) of series of shape (N, T, ...)."""
        flat = x.flatten(2)
        heard = (flat != 0).any(dim=2).to(flat.dtype)
        later = heard.sum(dim=1, keepdim=True) - heard.cumsum(dim=1) + heard
        own = (later > 0).to(flat.dtype)[:, None]
        series = self.entry(flat.transpose(1, 2)) * own
        for block in self.blocks:
            series = (series + block(series)) * own
        mean: Tensor = series.sum(dim=2) / own.sum(dim=2).clamp(min=1)
        return mean


def _tcn(described: TeacherModel, input_shape: Shape) -> nn.Module:
    steps, inputs = input_shape[0], int(np.prod(input_shape[1:]))
    return nn.Sequential(
        TemporalConvolutions(inputs, described.width, steps, described.dropout),
        nn.Dropout(described.dropout),
        nn.Linear(described.width, described.features),
        nn.ReLU(),
    )
