"""The head on the host: students' outputs to logits, for any subset of students.

``linear``: logits = W m + b + sum over the students that ran of W_k (f_k - m_k), with m the training mean:
the same as weight @ concat(outputs, with means for the others) + bias, counted incrementally. ``mean``: the
mean of w_k f_k over the students that ran, with w_k their weights, or 1. Then they are divided by the
temperature of so many students, if there is one. Each row depends on its own sample alone, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head
from sne_deploy.model.parts import ONE_FOR_EACH

Array = npt.NDArray[Any]


def check_head(head: Head, sizes: Sequence[int]) -> None:
    """Check that a head fits students with these output sizes.

    Raises
    ------
    InputError
        A tensor is missing or has the wrong shape.
    """
    for name in ONE_FOR_EACH:
        given = getattr(head, name)
        if given is not None and given.shape != (len(sizes),):
            raise InputError(f"head: {name} has shape {given.shape}, not (students,) = ({len(sizes)},)")
    if head.kind == "mean":
        if len(set(sizes)) != 1:
            raise InputError(
                f"head 'mean' needs students with equally many outputs, got {list(sizes)}; give a linear head"
            )
        return
    if head.student_weight is not None:
        raise InputError("head 'linear' has no student_weight; multiply its weight")
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
    return joined(head, parts(head, outputs), active)


def parts(head: Head, outputs: Sequence[Array]) -> tuple[Array, ...]:
    """What each student brings to the logits where it runs: float64 arrays of shape (N, classes).

    ``linear``: W_k (f_k - m_k); ``mean``: its outputs, times its weight.
    """
    if head.kind == "mean":
        if head.student_weight is None:
            return tuple(outputs)
        return tuple(weight * output for weight, output in zip(head.student_weight, outputs, strict=True))
    weight, mean, _ = _tensors(head)
    found, start = [], 0
    for output in outputs:
        part = slice(start, start + output.shape[1])
        start = part.stop
        found.append(np.einsum("nf,cf->nc", output - mean[part], weight[:, part]))
    return tuple(found)


def joined(head: Head, parts: Sequence[Array], active: Array) -> Array:
    """Logits from the :func:`parts` of the students that ran, added in the ensemble's order.

    Parameters
    ----------
    head : Head
    parts : sequence of float64 arrays of shape (N, classes)
        One per student; rows of inactive students are ignored.
    active : bool array of shape (N, students), or (1, students) for all samples alike

    Returns
    -------
    float64 array of shape (N, classes)
    """
    ran = active.sum(axis=1)
    if head.kind == "mean":
        result = np.zeros_like(parts[0])
    else:
        weight, mean, bias = _tensors(head)
        result = np.tile(np.einsum("cf,f->c", weight, mean) + bias, (len(parts[0]), 1))
    for index, part in enumerate(parts):
        if bool(active[:, index].any()):
            result += np.where(active[:, index, None], part, 0.0)
    last = np.maximum(ran, 1) - 1
    if head.kind == "mean":
        result = result / (last + 1)[:, None]
    elif head.subset_bias is not None:
        result += np.where(ran[:, None] > 0, head.subset_bias[last], 0.0)
    return result if head.temperature is None else np.asarray(result / head.temperature[last][:, None])


def _tensors(head: Head) -> tuple[Array, Array, Array]:
    """Weight, mean and bias of a linear head."""
    if head.weight is None or head.bias is None or head.mean is None:
        raise InputError("head 'linear' needs weight, bias and mean")
    return head.weight.astype(np.float64), head.mean.astype(np.float64), head.bias


def head_macs(head: Head, sizes: Sequence[int], active: Array) -> Array:
    """Host multiply-accumulates per sample, of every student that ran; int64 (N,).

    Of a linear head classes x outputs; of weighted outputs one each, of others none.
    """
    per_student = np.asarray(sizes, dtype=np.int64)
    if head.kind == "mean" or head.weight is None:
        per_student = per_student * int(head.student_weight is not None)
    else:
        per_student = per_student * head.weight.shape[0]
    return np.asarray(active.astype(np.int64) @ per_student)


def softmax(values: Array) -> Array:
    """exp(z) / sum exp(z) along the last axis."""
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
