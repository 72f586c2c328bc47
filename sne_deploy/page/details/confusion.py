"""Which class was taken for which."""

from __future__ import annotations

import numpy as np
from pydantic import model_validator

from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Count, Model

MAX_MATRIX_CLASSES = 200
"""With more, a matrix would have cells that nobody can tell apart: the most confused pairs are kept alone."""
MAX_PAIRS = 30
"""Of those."""


class PairModel(Model):
    """Samples of one label with one prediction."""

    label: Count
    predicted: Count
    samples: Count


class ConfusionModel(Model):
    """Samples by label and prediction.

    Attributes
    ----------
    classes : tuple of int
        That a label or a prediction names, rising.
    labelled : tuple of int
        Samples with each of these labels.
    whole : bool
        Whether every pair that occurs is there, by label and prediction; else the most confused alone, those
        with the most samples first.
    pairs : tuple of PairModel
    """

    classes: tuple[Count, ...]
    labelled: tuple[Count, ...]
    whole: bool
    pairs: tuple[PairModel, ...]

    @model_validator(mode="after")
    def _fits(self) -> ConfusionModel:
        if len(self.classes) != len(self.labelled):
            raise ValueError("there are as many classes as numbers of their samples")
        of_label = dict(zip(self.classes, self.labelled, strict=True))
        if any(not pair.samples <= of_label.get(pair.label, 0) for pair in self.pairs):
            raise ValueError("a pair has at most the samples with its label")
        if any(not pair.samples or pair.predicted not in of_label for pair in self.pairs):
            raise ValueError("a pair has a sample and classes that are listed")
        return self


def confusion(source: Source) -> ConfusionModel | None:
    """Of all samples, as the ensemble predicted them; None without labels."""
    labels, predictions = source.run.labels, source.run.predictions
    if labels is None:
        return None
    classes = np.union1d(labels, predictions)
    found, counts = np.unique(np.stack([labels, predictions], axis=1), axis=0, return_counts=True)
    whole = len(classes) <= MAX_MATRIX_CLASSES
    if not whole:
        wrong = np.flatnonzero(found[:, 0] != found[:, 1])
        kept = wrong[np.argsort(-counts[wrong], kind="stable")[:MAX_PAIRS]]
        found, counts = found[kept], counts[kept]
    return ConfusionModel(
        classes=tuple(classes.tolist()),
        labelled=tuple(np.bincount(np.searchsorted(classes, labels), minlength=len(classes)).tolist()),
        whole=whole,
        pairs=tuple(
            PairModel(label=label, predicted=predicted, samples=count)
            for (label, predicted), count in zip(found.tolist(), counts.tolist(), strict=True)
        ),
    )
