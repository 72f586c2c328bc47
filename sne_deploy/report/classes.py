"""Predictions by class: who is predicted how often, where ties decided, how right that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.report.schema import ClassModel
from sne_deploy.runtime.packed import blocks
from sne_deploy.runtime.result import RunResult

Array = npt.NDArray[Any]


def tied(result: RunResult) -> Array:
    """Where several classes share the highest output: bool array of shape (N,); the first of them wins."""
    each = blocks(result, "logits")
    return np.concatenate([(part == part.max(axis=1, keepdims=True)).sum(axis=1) > 1 for part in each])


def class_models(result: RunResult) -> tuple[ClassModel, ...]:
    """Every class that a label or a prediction names, in order."""
    predictions, labels = result.predictions, result.labels
    size = 1 + max(int(predictions.max()), 0 if labels is None else int(labels.max()))
    predicted = np.bincount(predictions, minlength=size)
    by_tie = np.bincount(predictions[tied(result)], minlength=size)
    if labels is None:
        samples = right = np.zeros(size, np.int64)
    else:
        samples = np.bincount(labels, minlength=size)
        right = np.bincount(labels[predictions == labels], minlength=size)
    return tuple(
        ClassModel(
            index=index,
            samples=None if labels is None else int(samples[index]),
            predicted=int(predicted[index]),
            tied=int(by_tie[index]),
            correct=None if labels is None else int(right[index]),
            accuracy=None if not samples[index] else int(right[index]) / int(samples[index]),
        )
        for index in np.flatnonzero(samples + predicted).tolist()
    )


def balanced_accuracy(predictions: Array, labels: Array | None) -> float | None:
    """The mean over the classes that occur of their accuracies; None without labels."""
    if labels is None or not len(labels):
        return None
    samples = np.bincount(labels)
    right = np.bincount(labels[predictions == labels], minlength=len(samples))
    return float(np.mean(right[samples > 0] / samples[samples > 0]))
