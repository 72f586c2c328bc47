"""What the host computes to decide who runs: the head's confidence, the gate.

Each row depends on its own sample alone, bit for bit: sums are over one row, in an order of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.policy import ActivationPolicy, Gate, Measure
from sne_deploy.runtime.head import softmax

Array = npt.NDArray[Any]


def confidence(measure: Measure, logits: Array) -> Array:
    """How sure the head is, in [0, 1]; see :data:`sne_deploy.model.policy.Measure`. With one class, 1.

    Parameters
    ----------
    measure : Measure
    logits : float64 array of shape (N, classes)

    Returns
    -------
    float64 array of shape (N,)
    """
    probabilities = softmax(logits)
    if measure == "max_probability" or probabilities.shape[1] == 1:
        return np.asarray(probabilities.max(axis=1))
    if measure == "margin":
        least, most = np.partition(probabilities, -2, axis=1)[:, -2:].T
        return np.asarray(most - least)
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))  # p log p is 0 at 0
    spread = -(probabilities * logs).sum(axis=1) / math.log(probabilities.shape[1])
    return np.asarray(np.clip(1.0 - spread, 0.0, 1.0))


def chosen_students(policy: ActivationPolicy, inputs: Array, students: int) -> Array:
    """Who runs, where that is known before anyone has: bool array of shape (N, students).

    Parameters
    ----------
    policy : ActivationPolicy
        ``static`` or ``gate``.
    inputs : array of shape (N, *input_shape) or (N, T, *input_shape)
        As the students get them.
    students : int
    """
    if policy.gate is not None and policy.threshold is not None:
        return activated(gate_logits(policy.gate, inputs), policy.threshold)
    active = np.zeros((len(inputs), students), dtype=bool)
    active[:, list((policy.order or tuple(range(students)))[: policy.students])] = True
    return active


def activated(logits: Array, threshold: float) -> Array:
    """Students whose probability, the sigmoid of the logit, exceeds the threshold; and the most probable one.

    Parameters
    ----------
    logits : float64 array of shape (N, students)
    threshold : float
        In (0, 1]. It is compared as a logit, which needs no exponential.

    Returns
    -------
    bool array of shape (N, students)
    """
    limit = math.inf if threshold >= 1.0 else math.log(threshold) - math.log1p(-threshold)
    active = logits > limit
    active[np.arange(len(logits)), logits.argmax(axis=1)] = True
    return np.asarray(active)


def gate_logits(gate: Gate, inputs: Array) -> Array:
    """The gate's logits, float64 array of shape (N, students).

    Parameters
    ----------
    gate : Gate
    inputs : array of shape (N, *input_shape) or (N, T, *input_shape)
    """
    cells = pooled(gate.grid, inputs)
    hidden = np.einsum("nf,hf->nh", cells, gate.hidden_weight.astype(np.float64)) + gate.hidden_bias
    logits = np.einsum("nh,kh->nk", np.maximum(hidden, 0.0), gate.weight.astype(np.float64))
    return np.asarray(logits + gate.bias)


def pooled(grid: Sequence[int], inputs: Array) -> Array:
    """Mean of each cell of a grid, over time too: float64 array of shape (N, cells).

    Parameters
    ----------
    grid : sequence of int
        Cells along each axis of ``input_shape``; see :class:`sne_deploy.model.policy.Gate`.
    inputs : array of shape (N, *input_shape) or (N, T, *input_shape)
    """
    timed = inputs.ndim == len(grid) + 2
    values = inputs.sum(axis=1, dtype=np.float64) if timed else np.asarray(inputs, np.float64)
    count = np.full((1,) * values.ndim, inputs.shape[1] if timed else 1)
    for axis, cells in enumerate(grid, 1):
        size = values.shape[axis]
        starts = np.arange(cells) * size // cells
        values = np.ascontiguousarray(np.add.reduceat(values, starts, axis=axis))
        lengths = np.diff(starts, append=size)
        count = count * lengths.reshape([-1 if other == axis else 1 for other in range(values.ndim)])
    return np.asarray((values / count).reshape(len(values), -1))


def gate_macs(policy: ActivationPolicy, inputs: Array) -> Array:
    """Host multiply-accumulates of the gate per sample, on every sample: int64 array of shape (N,).

    One for every input value that is averaged, one for every weight.
    """
    return np.full(len(inputs), gate_macs_per_sample(policy.gate, inputs.shape[1:]), np.int64)


def gate_macs_per_sample(gate: Gate | None, shape: Sequence[int]) -> int:
    """The same for one sample of this shape, its time axis included; 0 without a gate."""
    return 0 if gate is None else math.prod(shape) + gate.hidden_weight.size + gate.weight.size
