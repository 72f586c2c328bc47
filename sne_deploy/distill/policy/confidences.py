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
class Curve:
    """A cascade at thresholds that rise: float64 arrays of one length.

    Attributes
    ----------
    thresholds, accuracy : array
    energy_j, students : array
        Mean per sample.
    """

    thresholds: Array
    accuracy: Array
    energy_j: Array
    students: Array


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

    def curve(self, energy_j: Array) -> Curve:
        """What the cascade does at each of its :meth:`thresholds`.

        A student runs where no confidence before it reached the threshold: the largest of them is below.

        Parameters
        ----------
        energy_j : float64 array of shape (N, students)
        """
        thresholds = np.array(self.thresholds())
        right = self.right.astype(np.int64)
        found = np.zeros((3, len(thresholds)))
        first = (right[:, 0].sum(), energy_j[:, self.order[0]].sum(), len(right))
        found += np.array(first)[:, None]
        largest = np.maximum.accumulate(self.values, axis=1)
        for place in range(1, len(self.order)):
            rows = np.argsort(largest[:, place - 1], kind="stable")
            below = np.searchsorted(largest[rows, place - 1], thresholds, side="left")
            gained = right[rows, place] - right[rows, place - 1]
            added = (gained, energy_j[rows, self.order[place]], np.ones(len(rows)))
            found += np.stack([np.append(0.0, np.cumsum(one))[below] for one in added])
        accuracy, joules, students = found / len(right)
        return Curve(thresholds, accuracy, joules, students)


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
