"""Which class was taken for which."""

from __future__ import annotations

import numpy as np

from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Count, Model


class ConfusionModel(Model):
    """Samples by label (rows) and prediction (columns).

    Attributes
    ----------
    classes : tuple of int
        That a label or a prediction names, rising.
    counts : tuple of tuple of int
    """

    classes: tuple[Count, ...]
    counts: tuple[tuple[Count, ...], ...]


def confusion(source: Source) -> ConfusionModel | None:
    """Of all samples, as the ensemble predicted them; None without labels."""
    labels, predictions = source.run.labels, source.run.predictions
    if labels is None:
        return None
    classes = np.union1d(labels, predictions)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (np.searchsorted(classes, labels), np.searchsorted(classes, predictions)), 1)
    return ConfusionModel(
        classes=tuple(classes.tolist()), counts=tuple(tuple(row) for row in counts.tolist())
    )
