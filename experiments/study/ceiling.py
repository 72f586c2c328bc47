"""What a division of the features could give at most: the accuracy of students that make no error.

Such students give their slice of the teacher's features exactly. Where any part of the features tells the
classes apart almost as well as another one, no choice of parts can gain much, and what spiking students lose
they lose by their errors, whatever they are given to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.teacher.network import extract_features

if TYPE_CHECKING:
    import torch

    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.run import Distilled

Array = npt.NDArray[Any]
FITTED = 10_000
"""Training samples that each head is fitted on, at most."""


def exact_students(
    features: tuple[Array, Array], labels: tuple[Array, Array], parts: Sequence[Array]
) -> list[dict[str, Any]]:
    """Accuracy of a linear head of its own on the first 1 to K parts of exact features.

    Parameters
    ----------
    features : pair of float arrays of shape (N, F)
        The teacher's, of training and of test samples.
    labels : pair of int64 arrays of shape (N,)
    parts : sequence of int arrays
        In the order in which the students run.
    """
    rows = []
    for count in range(1, len(parts) + 1):
        taken = np.concatenate(parts[:count])
        head = fit_head([features[0][:, taken]], labels[0])
        assert head.weight is not None  # noqa: S101  it is linear
        assert head.bias is not None  # noqa: S101
        logits = features[1][:, taken] @ head.weight.T + head.bias
        accuracy = float(np.mean(logits.argmax(axis=1) == labels[1]))
        rows.append({"students": count, "features": len(taken), "accuracy": accuracy})
    return rows


def ceiling(
    experiment: Experiment,
    distilled: Distilled,
    training: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, Array],
) -> list[dict[str, Any]]:
    """The same for a run's teacher, its division and the order of its policy."""
    order = distilled.ensemble.policy.order or range(len(distilled.parts))
    precision = experiment.teacher.schedule.precision
    seen, labels = training[0][:FITTED], training[1][:FITTED].numpy()
    exact = [extract_features(distilled.teacher, x, precision=precision).numpy() for x in (seen, test[0])]
    return exact_students((exact[0], exact[1]), (labels, test[1]), [distilled.parts[k] for k in order])
