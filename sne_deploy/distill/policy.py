"""Fitting who runs first, and when it is enough, on validation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ensembles import ActivationPolicy, Head
from sne_deploy.errors import InputError
from sne_deploy.runtime.head import logits, softmax

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FittedPolicy:
    """A policy, and what it did on the validation data.

    Attributes
    ----------
    policy : ActivationPolicy
    accuracy, accuracy_all : float
        With the policy, and with all students.
    mean_students : float
    """

    policy: ActivationPolicy
    accuracy: float
    accuracy_all: float
    mean_students: float


def best_order(head: Head, outputs: Sequence[Array], labels: Array) -> tuple[int, ...]:
    """Greedy: first the student that alone is right most often, then the one that helps it most, and so on.

    Parameters
    ----------
    head : Head
    outputs : sequence of float64 arrays of shape (N, n_out)
    labels : int array of shape (N,)
    """
    order: list[int] = []
    while len(order) < len(outputs):
        left = [k for k in range(len(outputs)) if k not in order]
        order.append(max(left, key=lambda k: (_accuracy(head, outputs, labels, [*order, k]), -k)))
    return tuple(order)


def fit_confidence(
    head: Head, outputs: Sequence[Array], labels: Array, accuracy_drop: float, order: tuple[int, ...] = ()
) -> FittedPolicy:
    """Find the lowest confidence at which accuracy stays within ``accuracy_drop`` of all students'.

    Parameters
    ----------
    head : Head
    outputs : sequence of float64 arrays of shape (N, n_out)
        Of every student on the validation data, as deployed.
    labels : int array of shape (N,)
    accuracy_drop : float
        As a fraction: 0.01 is a point.
    order : tuple of int
        In which students run; empty: :func:`best_order`.

    Raises
    ------
    InputError
        No data, or ``accuracy_drop`` is negative.
    """
    if not accuracy_drop >= 0 or len(labels) == 0:
        raise InputError(
            f"policy: accuracy_drop {accuracy_drop} on {len(labels)} samples; give 0 or more, and samples"
        )
    order = order or best_order(head, outputs, labels)
    confidence, right = _along(head, outputs, labels, order)
    everyone = float(right[:, -1].mean())
    best: FittedPolicy | None = None
    for threshold in np.unique(np.concatenate([np.round(confidence[:, :-1].ravel(), 4), [1.0]])):
        if not 0 < threshold <= 1:
            continue
        stop = _stops(confidence, float(threshold))
        accuracy = float(right[np.arange(len(labels)), stop].mean())
        if accuracy >= everyone - accuracy_drop:
            policy = ActivationPolicy("confidence", order, float(threshold))
            best = FittedPolicy(policy, accuracy, everyone, float(stop.mean() + 1))
            break
    if best is None:
        policy = ActivationPolicy("confidence", order, 1.0)
        best = FittedPolicy(policy, everyone, everyone, float(len(order)))
    return best


def _along(head: Head, outputs: Sequence[Array], labels: Array, order: Sequence[int]) -> tuple[Array, Array]:
    """Confidence and correctness (N, K) after the first k + 1 students."""
    confidence, right = [], []
    for k in range(1, len(order) + 1):
        values = logits(head, outputs, _active(outputs, order[:k]))
        confidence.append(softmax(values).max(axis=1))
        right.append(values.argmax(axis=1) == labels)
    return np.stack(confidence, axis=1), np.stack(right, axis=1)


def _stops(confidence: Array, threshold: float) -> Array:
    """Index of the student after which each sample is decided."""
    enough = confidence >= threshold
    enough[:, -1] = True
    return np.asarray(enough.argmax(axis=1))


def _active(outputs: Sequence[Array], ran: Sequence[int]) -> Array:
    active = np.zeros((len(outputs[0]), len(outputs)), dtype=bool)
    active[:, list(ran)] = True
    return active


def _accuracy(head: Head, outputs: Sequence[Array], labels: Array, ran: Sequence[int]) -> float:
    return float(np.mean(logits(head, outputs, _active(outputs, ran)).argmax(axis=1) == labels))
