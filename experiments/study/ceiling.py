"""What a division of the features could give at most: the accuracy of students that make no error.

Such students give their slice of the teacher's features exactly. Where any part of the features tells the
classes apart almost as well as another one, no choice of parts can gain much, and what spiking students lose
they lose by their errors, whatever they are given to learn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.teacher.network import Teacher, extract_features
from sne_deploy.distill.training.resume import ResumePoint, kept_tensor

if TYPE_CHECKING:
    from sne_deploy.distill.run import Distilled

Array = npt.NDArray[Any]
Precision = Literal["float32", "bf16"]
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


def kept_features(folder: Path, teacher: Teacher, x: torch.Tensor, precision: Precision) -> Array:
    """A teacher's features of samples: computed once, kept in a folder for runs that share it."""
    digest = hashlib.sha256(precision.encode())
    for part in (*teacher.state_dict().values(), x):
        digest.update(part.numpy(force=True).tobytes())
    name = digest.hexdigest()
    point = ResumePoint(folder / f"exact-{name[:12]}.pt", name)
    return kept_tensor(point, lambda: extract_features(teacher, x, precision=precision)).numpy()


def ceiling(
    distilled: Distilled, features: tuple[Array, Array], labels: tuple[Array, Array]
) -> list[dict[str, Any]]:
    """The same for a run's division, in the order of its policy; arrays as in :func:`exact_students`."""
    order = distilled.ensemble.policy.order or range(len(distilled.parts))
    return exact_students(features, labels, [distilled.parts[k] for k in order])


def own_accuracy(teacher: Teacher, features: Array, labels: Array) -> float:
    """Of the teacher's own linear map."""
    with torch.no_grad():
        logits = teacher.classifier(torch.from_numpy(features))
    return float(np.mean(logits.argmax(dim=1).numpy() == labels))
