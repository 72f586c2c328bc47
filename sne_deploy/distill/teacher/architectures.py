"""Teachers of ours, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from sne_deploy.distill.experiment import OF_IMAGES
from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.distill.training.determinism import evaluating
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from sne_deploy.distill.schema.teacher import TeacherModel

Shape = tuple[int, ...]
WHITENED, WHITENED_FROM, LEAST_VARIANCE = 12, 5000, 5e-4
"""Patterns of a patch of 2 x 2 pixels in three colours; images that they are found in, and what is added to
each one's variance."""
MAX_BLOCKS = 8
"""Of a temporal network: they reach over 511 steps."""


def teacher_network(described: TeacherModel, input_shape: Shape, classes: int) -> Teacher:
    """Make an untrained teacher.

    ``mlp``: two hidden layers. ``cnn``: two convolutions with pooling. ``resnet9``: eight convolutions of
    width, 2, 4 and 8 widths in two residual blocks, with batch normalisation. ``airbench``: a whitening
    convolution and six of width, 3 and 3 widths, for few epochs, see :func:`_airbench`. ``tcn``:
    convolutions over the steps of a series, see :class:`TemporalConvolutions`. All end in ``features`` ReLUs
    and one linear map.

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
        "airbench": _airbench,
        "tcn": _tcn,
    }
    if described.architecture is None:
        raise InputError("teacher: there is no architecture to train; it is given as ONNX")
    if described.architecture in OF_IMAGES and len(input_shape) != 3:
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


def _airbench(described: TeacherModel, input_shape: Shape) -> nn.Module:
    """Convolutions for a training of few epochs: whitened patches, identities to begin with, GELU.

    The first convolution is not trained, see :func:`whiten`; nor are the scales of the batch norms, whose
    statistics follow the last few batches. Source: Jordan 2024, arXiv:2404.00498 (there, with another end).
    """
    if input_shape[0] != 3:
        raise InputError(
            f"teacher.architecture 'airbench' takes images of three channels, not of shape {input_shape}; "
            "take 'resnet9'"
        )
    width, size = described.width, 2 * WHITENED
    return nn.Sequential(
        nn.Conv2d(3, size, 2),
        nn.GELU(),
        *_pair(size, width),
        *_pair(width, 3 * width),
        *_pair(3 * width, 3 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(described.dropout),
        nn.Linear(3 * width, described.features, bias=False),
        nn.BatchNorm1d(described.features, momentum=0.4),
        nn.ReLU(),
    )


def _pair(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Two convolutions that begin as identities, with a pooling behind the first; norms of fixed scale."""
    convs = [nn.Conv2d(size, channels_out, 3, padding=1, bias=False) for size in (channels_in, channels_out)]
    norms = [nn.BatchNorm2d(channels_out, momentum=0.4) for _ in convs]
    for conv, norm in zip(convs, norms, strict=True):
        nn.init.dirac_(conv.weight[: conv.in_channels])
        norm.weight.requires_grad_(False)
    return [convs[0], nn.MaxPool2d(2), norms[0], nn.GELU(), convs[1], norms[1], nn.GELU()]


def whiten(teacher: Teacher, images: Tensor) -> Teacher:
    r"""Let the first convolution of ``airbench`` give uncorrelated outputs of variance 1.

    .. math:: w_j = \pm v_j / \sqrt{e_j + 5 \cdot 10^{-4}}, \qquad b_j = -w_j \cdot \bar p

    for the eigenvectors v and eigenvalues e of the covariance of patches p of 2 x 2 pixels, in float64. They
    are not trained further.

    Parameters
    ----------
    teacher : Teacher
        Just made; the first convolution is set, of other architectures none.
    images : tensor of shape (N, 3, height, width)
        To train on; the first ``WHITENED_FROM`` are looked at.
    """
    first = next(iter(teacher.features.children()))
    if not isinstance(first, nn.Conv2d) or first.kernel_size != (2, 2):
        return teacher
    patches = images[:WHITENED_FROM].cpu().double().unfold(2, 2, 1).unfold(3, 2, 1)
    rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, WHITENED)
    mean = rows.mean(dim=0)
    values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    found = (vectors / (values + LEAST_VARIANCE).sqrt()).T
    weight = torch.cat([found, -found])
    with torch.no_grad():
        first.weight.copy_(weight.view_as(first.weight))
        assert first.bias is not None  # noqa: S101  it was made with one
        first.bias.copy_(-(weight @ mean))
    first.requires_grad_(False)
    return teacher


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
