"""A teacher whose weights have 16 bits: the network that students learn from is the one that is stored."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from sne_deploy.distill.half import halve_maps
from sne_deploy.files import write_whole
from sne_deploy.teacher.half import half_precision
from sne_deploy.teacher.onnx_model import parse_onnx, read_onnx
from sne_deploy.teacher.process import TeacherProcess

if TYPE_CHECKING:
    import os

    from sne_deploy.distill.teacher.network import Teacher

Array = npt.NDArray[Any]
NORMED: dict[type[nn.Module], Any] = {nn.Conv2d: nn.BatchNorm2d, nn.Linear: nn.BatchNorm1d}
"""Layers that the batch norm behind them folds into."""


@dataclass(frozen=True)
class Halved:
    """What storing a teacher's weights in 16 bits changes.

    Attributes
    ----------
    accuracy_before, accuracy_after : float
        Of the file with 32 bits and of the one with 16, on the same samples.
    agreement : float
        Fraction of the samples to which both give the same class.
    samples : int
    bytes_before, bytes_after : int
    """

    accuracy_before: float
    accuracy_after: float
    agreement: float
    samples: int
    bytes_before: int
    bytes_after: int


def half_teacher(teacher: Teacher) -> Teacher:
    """Return a copy in evaluation mode with 16-bit weights: batch norms folded, then matrices rounded.

    A batch norm directly behind a convolution or a linear map folds into it, as the export to ONNX would fold
    it, so that nothing changes a rounded weight afterwards. The parameters stay float32 tensors; their values
    are those that the file stores.

    Raises
    ------
    RunError
        A weight is larger than 16 bits hold.
    """
    made = copy.deepcopy(teacher).eval()
    with torch.no_grad():
        for part in list(made.modules()):
            if isinstance(part, nn.Sequential):
                _fold(part)
    halve_maps(made, "teacher.weights")
    return made


def _fold(sequence: nn.Sequential) -> None:
    """Fold each batch norm that directly follows a layer; an identity takes its place, so that names stay."""
    for k in range(len(sequence) - 1):
        layer, norm = sequence[k], sequence[k + 1]
        if not isinstance(norm, NORMED.get(type(layer), ())):
            continue
        fuse = fuse_conv_bn_eval if isinstance(layer, nn.Conv2d) else fuse_linear_bn_eval
        sequence[k] = fuse(layer, norm)  # type: ignore[type-var]
        sequence[k + 1] = nn.Identity()


def halve_onnx(source: str | os.PathLike[str], target: str | os.PathLike[str], x: Array, y: Array) -> Halved:
    """Store the weights of a teacher's ONNX file in 16 bits, and measure what that changes.

    Parameters
    ----------
    source, target : path
        The target is written atomically; it may be the source.
    x, y : arrays
        Samples and labels that both files are run on.

    Raises
    ------
    TeacherError
        The file cannot be used, has no float32 weights, or a weight is larger than 16 bits hold.
    """
    path = Path(source)
    before = read_onnx(path)
    after = half_precision(parse_onnx(before, path.name), path.name).SerializeToString(deterministic=True)
    theirs, ours = (_classes(data, path.name, x) for data in (before, after))
    write_whole(target, after)
    return Halved(
        accuracy_before=float(np.mean(theirs == y)),
        accuracy_after=float(np.mean(ours == y)),
        agreement=float(np.mean(theirs == ours)),
        samples=len(x),
        bytes_before=len(before),
        bytes_after=len(after),
    )


def _classes(data: bytes, name: str, x: Array) -> Array:
    with TeacherProcess(data, name) as teacher:
        teacher.check(x)
        return np.asarray(teacher.rows(x).argmax(axis=1))
