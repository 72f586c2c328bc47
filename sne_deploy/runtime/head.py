"""The head on the host: students' outputs to logits, for any subset of students.

``linear``: logits = W m + b + sum over the students that ran of W_k (f_k - m_k), with m the training mean:
the same as weight @ concat(outputs, with means for the others) + bias, counted incrementally. Each row
depends on its own sample alone, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head

Array = npt.NDArray[Any]


def check_head(head: Head, sizes: Sequence[int]) -> None:
    """Check that a head fits students with these output sizes.

    Raises
    ------
    InputError
        A tensor is missing or has the wrong shape.
    """
    if head.kind == "mean":
        if len(set(sizes)) != 1:
            raise InputError(
                f"head 'mean' needs students with equally many outputs, got {list(sizes)}; give a linear head"
            )
        return
    features = sum(sizes)
    if head.weight is None or head.bias is None or head.mean is None:
        raise InputError("head 'linear' needs weight, bias and mean")
    classes = head.weight.shape[0]
    wanted = {"weight": (classes, features), "bias": (classes,), "mean": (features,)}
    for name, shape in wanted.items():
        found = getattr(head, name).shape
        if found != shape:
            raise InputError(
                f"head: {name} has shape {found}, the students' {features} outputs need {shape}; "
                "fit the head on the outputs of these students"
            )
    if head.subset_bias is not None and head.subset_bias.shape != (len(sizes), classes):
        raise InputError(
            f"head: subset_bias has shape {head.subset_bias.shape}, not (students, classes) = "
            f"({len(sizes)}, {classes})"
        )


def logits(head: Head, outputs: Sequence[Array], active: Array) -> Array:
    """Combine what has run.

    Parameters
    ----------
    head : Head
    outputs : sequence of float64 arrays of shape (N, n_out)
        One per student; rows of inactive students are ignored.
    active : bool array of shape (N, students)

    Returns
    -------
    float64 array of shape (N, classes)
    """
    if head.kind == "mean":
        return _mean(outputs, active)
    if head.weight is None or head.bias is None or head.mean is None:
        raise InputError("head 'linear' needs weight, bias and mean")
    weight, mean = head.weight.astype(np.float64), head.mean.astype(np.float64)
    result = np.tile(np.einsum("cf,f->c", weight, mean) + head.bias, (len(active), 1))
    start = 0
    for index, output in enumerate(outputs):
        part = slice(start, start + output.shape[1])
        start = part.stop
        change = np.where(active[:, index, None], output - mean[part], 0.0)
        result += np.einsum("nf,cf->nc", change, weight[:, part])
    if head.subset_bias is not None:
        ran = active.sum(axis=1)
        result += np.where(ran[:, None] > 0, head.subset_bias[np.maximum(ran, 1) - 1], 0.0)
    return result


def _mean(outputs: Sequence[Array], active: Array) -> Array:
    stacked = np.stack([np.where(active[:, k, None], output, 0.0) for k, output in enumerate(outputs)])
    return np.asarray(stacked.sum(axis=0) / np.maximum(active.sum(axis=1), 1)[:, None])


def head_macs(head: Head, sizes: Sequence[int], active: Array) -> Array:
    """Host multiply-accumulates per sample: classes x outputs of every student that ran; int64 (N,)."""
    if head.kind == "mean" or head.weight is None:
        return np.zeros(len(active), dtype=np.int64)
    per_student = np.asarray(sizes, dtype=np.int64) * head.weight.shape[0]
    return np.asarray(active.astype(np.int64) @ per_student)


def softmax(values: Array) -> Array:
    """exp(z) / sum exp(z) along the last axis."""
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
