"""How sure the head is after each student, and where a cascade with a threshold stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.ensemble import Head, Measure
from sne_deploy.runtime.activation import confidence
from sne_deploy.runtime.head import logits

Array = npt.NDArray[Any]
STEPS = 10_000
"""Confidences are told apart in steps of 1 / STEPS."""
LOWEST = 1e-6
"""The lowest threshold: all but those that know nothing are above it."""


@dataclass(frozen=True, eq=False)
class Confidences:
    """The head after the first 1 to K students of an order.

    Attributes
    ----------
    order : tuple of int
    measure : Measure
    values : float64 array of shape (N, K)
    right : bool array of shape (N, K)
        Whether the predicted class is the label.
    """

    order: tuple[int, ...]
    measure: Measure
    values: Array
    right: Array

    def thresholds(self) -> tuple[float, ...]:
        """What is worth trying, rising: the confidences that are reached, rounded down to 1 / STEPS, and 1.

        The cost of a cascade never falls as its threshold rises.
        """
        reached = np.floor(self.values[:, :-1].ravel() * STEPS) / STEPS
        return tuple(float(one) for one in np.unique(np.append(np.maximum(reached, LOWEST), 1.0)))

    def stops(self, threshold: float) -> Array:
        """Number of students, less one, after which each sample is decided: int64 array of shape (N,)."""
        enough = self.values >= threshold
        enough[:, -1] = True
        return np.asarray(enough.argmax(axis=1))

    def active(self, threshold: float) -> Array:
        """Who runs where the cascade goes on until a threshold: bool array of shape (N, students)."""
        place = np.argsort(self.order)
        return np.asarray(place[None, :] <= self.stops(threshold)[:, None])

    def accuracy(self, threshold: float) -> float:
        """Of the cascade, as a fraction."""
        return float(self.right[np.arange(len(self.right)), self.stops(threshold)].mean())


def confidences(
    head: Head, outputs: Sequence[Array], labels: Array, order: Sequence[int], measure: Measure
) -> Confidences:
    """Ask the head after each student of an order.

    ``outputs`` are those of every student on every sample, float64 arrays of shape (N, n_out); ``labels`` has
    shape (N,).
    """
    values, right = [], []
    active = np.zeros((len(labels), len(outputs)), dtype=bool)
    for index in order:
        active[:, index] = True
        found = logits(head, outputs, active)
        values.append(confidence(measure, found))
        right.append(found.argmax(axis=1) == labels)
    return Confidences(tuple(order), measure, np.stack(values, axis=1), np.stack(right, axis=1))
