"""The linear head over the students' outputs, fitted in float64 on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
ROUNDING = 1e-9
"""An output that varies by less, relative to its size, is constant: the mean of equal numbers is rounded."""


def fit_head(
    outputs: Sequence[FloatArray],
    labels: IntArray,
    l2: float = 1e-3,
    subset_bias: bool = False,
    order: Sequence[int] = (),
) -> Head:
    r"""Fit logits = W o + b to the training outputs of all students by L2-regularised logistic regression.

    .. math:: \min_{W, b} \frac{1}{N} \sum_n -\log \mathrm{softmax}(W o_n + b)_{y_n}
              + \frac{\lambda}{2} \lVert W \, \mathrm{diag}(s) \rVert^2

    with s the standard deviation of each output, so that the result does not depend on their units.

    Parameters
    ----------
    outputs : sequence of float arrays of shape (N, n_out)
        One per student, in the ensemble's order, in the student's units.
    labels : int array of shape (N,)
        0..classes - 1.
    l2 : float
        The weight lambda, positive: without it separable data has no finite optimum.
    subset_bias : bool
        Also fit, for every k, the bias that is added when the first k students of ``order`` have run.
    order : sequence of int
        Order in which students run; empty: the ensemble's own.

    Returns
    -------
    Head
        ``kind`` "linear"; ``mean`` is the training mean of every output.

    Raises
    ------
    InputError
        The arrays do not match, are not finite, or ``l2`` or ``order`` is wrong.
    """
    if not l2 > 0:
        raise InputError(f"head: l2 {l2} must be positive")
    joined, labels = _checked(outputs, labels)
    order = tuple(order) or tuple(range(len(outputs)))
    if sorted(order) != list(range(len(outputs))):
        raise InputError(f"head: order {order} is not a permutation of 0..{len(outputs) - 1}")
    mean, deviation = joined.mean(axis=0), joined.std(axis=0)
    constant = deviation <= ROUNDING * np.abs(joined).max(axis=0)
    deviation = np.where(constant, 1.0, deviation)
    scaled_weight, bias = _logistic((joined - mean) / deviation, labels, l2)
    weight = scaled_weight / deviation
    head_bias = bias - weight @ mean
    if not subset_bias:
        return Head("linear", weight, head_bias, mean)
    widths = [output.shape[1] for output in outputs]
    rows = [
        _bias_shift(_with_means(joined, mean, widths, order[:k]) @ weight.T + head_bias, labels)
        for k in range(1, len(order))
    ]
    rows.append(np.zeros_like(head_bias))
    return Head("linear", weight, head_bias, mean, np.stack(rows))


def fit_student_weights(outputs: Sequence[FloatArray], labels: IntArray) -> FloatArray:
    r"""Weights w of students whose outputs are logits z, for the mean of all of them.

    .. math:: \min_{w > 0, T} \frac{1}{N} \sum_n -\log \mathrm{softmax}(\frac{1}{T} \sum_k w_k z_{kn})_{y_n}

    with a mean of 1: one that is surer than it should be, as a small student may be, gets less.

    Parameters
    ----------
    outputs : sequence of float arrays of shape (N, classes)
        One per student.
    labels : int array of shape (N,)

    Raises
    ------
    InputError
        There are no samples, or students differ in their number of outputs.
    """
    joined, labels = _checked(outputs, labels)
    if len({output.shape[1] for output in outputs}) != 1:
        sizes = [output.shape[1] for output in outputs]
        raise InputError(f"head: weights of students of {sizes} outputs; give students of equally many")
    values, target = torch.from_numpy(joined.reshape(len(labels), len(outputs), -1)), torch.from_numpy(labels)

    def loss(logarithm: Tensor) -> Tensor:
        return cross_entropy(torch.einsum("k,nkc->nc", logarithm.exp() / len(outputs), values), target)

    (found,) = _least(loss, (len(outputs),))
    weights = np.exp(found)
    return np.asarray(weights / weights.mean())


def _checked(outputs: Sequence[FloatArray], labels: IntArray) -> tuple[FloatArray, IntArray]:
    if not outputs or any(o.ndim != 2 or len(o) != len(labels) for o in outputs) or len(labels) == 0:
        shapes = [o.shape for o in outputs]
        raise InputError(f"head: outputs of shapes {shapes} for {len(labels)} labels; give (N, n_out)")
    joined = np.concatenate([np.asarray(o, dtype=np.float64) for o in outputs], axis=1)
    if not np.isfinite(joined).all():
        raise InputError("head: the students' outputs are not all finite; train with a lower learning rate")
    if labels.min() < 0:
        raise InputError(f"head: label {labels.min()} is negative; labels are 0..classes - 1")
    return joined, labels.astype(np.int64)


def _with_means(
    joined: FloatArray, mean: FloatArray, widths: Sequence[int], ran: Sequence[int]
) -> FloatArray:
    """Return the joined outputs with the mean in the place of every student that did not run."""
    keep = np.repeat([index in ran for index in range(len(widths))], widths)
    return np.where(keep, joined, mean)


def _logistic(x: FloatArray, labels: IntArray, l2: float) -> tuple[FloatArray, FloatArray]:
    data, target = torch.from_numpy(x), torch.from_numpy(labels)
    classes = int(labels.max()) + 1

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        return cross_entropy(data @ weight.T + bias, target) + 0.5 * l2 * weight.square().sum()

    weight, bias = _least(loss, (classes, x.shape[1]), (classes,))
    return weight, bias


def _bias_shift(logits: FloatArray, labels: IntArray, l2: float = 1e-6) -> FloatArray:
    """Find the shift of fixed logits that minimises their cross-entropy; l2 fixes its free common part."""
    fixed, target = torch.from_numpy(logits), torch.from_numpy(labels)

    def loss(shift: Tensor) -> Tensor:
        return cross_entropy(fixed + shift, target) + 0.5 * l2 * shift.square().sum()

    (shift,) = _least(loss, (logits.shape[1],))
    return shift


def _least(loss: Callable[..., Tensor], *shapes: tuple[int, ...]) -> list[FloatArray]:
    """Where a convex loss of float64 tensors, from zeros, has a gradient of 1e-7.

    By full-batch L-BFGS in one thread: the same sums everywhere.
    """
    found = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    optimizer = torch.optim.LBFGS(
        found, max_iter=2000, tolerance_grad=1e-7, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(*found)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return value

    with deterministic(seed=0, threads=1):
        optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return [tensor.detach().numpy() for tensor in found]
