"""Which features of the teacher each student learns.

A strategy maps a :class:`FeatureSpace` and a number of parts to one sorted index array per part; together
they hold every feature exactly once, and :func:`partition` checks that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import InputError

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
Parts = tuple[IntArray, ...]


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """What a strategy may look at.

    Attributes
    ----------
    features : float array of shape (N, F)
        The teacher's penultimate features on the training set.
    labels : int array of shape (N,)
    class_weights : float array of shape (classes, F), or None
        The teacher's last linear map.
    """

    features: FloatArray
    labels: IntArray
    class_weights: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
            raise InputError(
                f"features of shape {self.features.shape} with labels of shape {self.labels.shape}: "
                "expected (N, F) and (N,)"
            )

    @property
    def size(self) -> int:
        """Number of features, F."""
        return int(self.features.shape[1])


class PartitionStrategy(Protocol):
    """A way to divide features among students."""

    def split(self, space: FeatureSpace, parts: int) -> Parts:
        """Return one index array per part."""
        ...


@dataclass(frozen=True)
class Contiguous:
    """Runs of neighbouring features, of sizes that differ by at most one."""

    def split(self, space: FeatureSpace, parts: int) -> Parts:
        """Cut features 0..F-1 into ``parts`` runs."""
        return tuple(np.array_split(np.arange(space.size, dtype=np.int64), parts))


@dataclass(frozen=True)
class Random:
    """A random permutation cut into equal runs.

    Attributes
    ----------
    seed : int
    """

    seed: int = 0

    def split(self, space: FeatureSpace, parts: int) -> Parts:
        """Cut a permutation of 0..F-1 into ``parts`` runs, each sorted."""
        shuffled = np.random.default_rng(self.seed).permutation(space.size).astype(np.int64)
        return tuple(np.sort(run) for run in np.array_split(shuffled, parts))


def partition(strategy: PartitionStrategy, space: FeatureSpace, parts: int) -> Parts:
    """Divide the features among ``parts`` students, and check the result.

    Returns
    -------
    tuple of int64 arrays
        Not empty, disjoint, together 0..F-1.

    Raises
    ------
    InputError
        ``parts`` is not in 1..F, or the strategy left a feature out or gave it twice.
    """
    if not 1 <= parts <= space.size:
        raise InputError(f"cannot divide {space.size} features among {parts} students; use 1 to {space.size}")
    result = strategy.split(space, parts)
    if len(result) != parts or any(part.size == 0 for part in result):
        raise InputError(f"{strategy!r} gave {[part.size for part in result]} features, not {parts} parts")
    if not np.array_equal(np.sort(np.concatenate(result)), np.arange(space.size)):
        raise InputError(f"{strategy!r} must give each of {space.size} features to exactly one student")
    return result
