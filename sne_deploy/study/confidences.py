"""How sure the head is after each student, and where a cascade with a threshold stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ensembles import Head, Measure
from sne_deploy.errors import InputError
from sne_deploy.runtime import head as heads
from sne_deploy.runtime.activation import confidence
from sne_deploy.runtime.result import RunResult

Array = npt.NDArray[Any]
STEPS = 10_000
"""Thresholds that are tried lie on a grid of so many steps from 0 to 1."""
ROUNDING = 1e-12
"""Far below one sample's share of any accuracy, far above the rounding of a difference of two."""


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

    def active(self, threshold: float) -> Array:
        """Who runs where the cascade goes on until a threshold: bool array of shape (N, students)."""
        place = np.argsort(self.order)
        return np.asarray(place[None, :] <= self._stops(threshold)[:, None])

    def lowest_threshold(self, accuracy: float) -> float | None:
        """The lowest threshold, a multiple of 1 / STEPS, whose cascade has an accuracy; None if none has.

        The cost of a cascade never falls as its threshold rises: it is the cheapest one too.
        """
        reached = np.floor(self.values[:, :-1].ravel() * STEPS) / STEPS
        for threshold in np.unique(np.append(np.maximum(reached, 1.0 / STEPS), 1.0)):
            right = self.right[np.arange(len(self.right)), self._stops(float(threshold))]
            if float(right.mean()) >= accuracy - ROUNDING:
                return float(threshold)
        return None

    def _stops(self, threshold: float) -> Array:
        """Number of students, less one, after which each sample is decided."""
        enough = self.values >= threshold
        enough[:, -1] = True
        return np.asarray(enough.argmax(axis=1))


def confidences(run: RunResult, head: Head, order: Sequence[int], measure: Measure) -> Confidences:
    """Ask the head after each student of an order.

    Parameters
    ----------
    run : RunResult
        In which every student ran on every sample.
    head : Head
    order : sequence of int
    measure : Measure

    Raises
    ------
    InputError
        There are no labels.
    """
    values, right = [], []
    outputs, active = [student.outputs for student in run.students], np.zeros_like(run.active)
    for index in order:
        active[:, index] = True
        logits = heads.logits(head, outputs, active)
        values.append(confidence(measure, logits))
        right.append(np.argmax(logits, axis=1) == labels_of(run))
    return Confidences(tuple(order), measure, np.stack(values, axis=1), np.stack(right, axis=1))


def labels_of(run: RunResult) -> Array:
    """The labels of a run.

    Raises
    ------
    InputError
        There are none.
    """
    if run.labels is None:
        raise InputError("operating points: accuracies need labels; give y")
    return run.labels
