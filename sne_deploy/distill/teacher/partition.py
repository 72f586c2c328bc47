"""Which features of the teacher each student learns.

A strategy maps a :class:`FeatureSpace` and a number of parts to one sorted index array per part; together
they hold every feature exactly once, and :func:`partition` checks that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import InputError

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
Parts = tuple[IntArray, ...]
DEAD = 0.995
"""A feature that has its smallest value on this part of the samples is dead: no student needs it."""


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


PartitionStrategy = Callable[[FeatureSpace, int], Parts]
"""A way to divide features among students: one sorted index array per part."""


def contiguous(space: FeatureSpace, parts: int) -> Parts:
    """Runs of neighbouring features, of sizes that differ by at most one."""
    return _runs(np.arange(space.size, dtype=np.int64), parts)


def random(space: FeatureSpace, parts: int, seed: int = 0) -> Parts:
    """A random permutation cut into equal runs."""
    return _runs(np.random.default_rng(seed).permutation(space.size).astype(np.int64), parts)


def _runs(order: IntArray, parts: int) -> Parts:
    return tuple(np.sort(run) for run in np.array_split(order, parts))


def correlation(space: FeatureSpace, parts: int) -> Parts:
    """Features that vary together go to one student, in parts of sizes that differ by at most one.

    The affinity of two features is their squared correlation over the training set, so that what is left
    between the parts is what :func:`sne_deploy.distill.losses.decorrelation` measures. A constant feature
    correlates with none; such dead features are dealt out evenly.
    """
    centred = space.features.astype(np.float64) - space.features.mean(axis=0, dtype=np.float64)
    return _clusters_of_live(space, np.square(_cosines(centred.T)), parts)


def attribution(space: FeatureSpace, parts: int) -> Parts:
    r"""Features that matter for the same classes go to one student, in parts of almost equal sizes.

    The profile of a feature over the classes is what it adds to a class's logit on that class's own samples,
    beyond what it adds on all:

    .. math:: a_{cf} = w_{cf} \bigl(\mathrm{E}[x_f \mid y = c] - \mathrm{E}[x_f]\bigr)

    with w the teacher's last linear map; 0 for a class without samples. The affinity of two features is the
    cosine of their profiles. Features that hardly ever vary are dealt out evenly.

    Raises
    ------
    InputError
        The space has no class weights, or they do not fit the features and labels.
    """
    return _clusters_of_live(space, _cosines(class_profiles(space).T), parts)


def coverage(space: FeatureSpace, parts: int) -> Parts:
    r"""The first student gets what matters for all classes, the next the best of what is left, and so on.

    Each feature that a part takes is the one that raises most what the part knows of all classes together,
    where more of the same class counts ever less:

    .. math:: \sum_c \log\Bigl(1 + \sum_{f \in \text{part}} \max(a_{cf}, 0)\Bigr)

    with the profiles a, in units of logits, of :func:`attribution`. Of equal features the first is taken.
    Sizes differ by at most one.

    Raises
    ------
    InputError
        As :func:`attribution`.
    """
    helpful = np.maximum(class_profiles(space), 0.0)
    left = np.arange(space.size, dtype=np.int64)
    found = []
    for run in np.array_split(left, parts):
        known, taken = np.zeros(len(helpful)), np.empty(0, np.int64)
        for _ in run:
            worth = np.log1p(known[:, None] + helpful[:, left]).sum(axis=0)
            best = int(worth.argmax())
            known, taken = known + helpful[:, left[best]], np.append(taken, left[best])
            left = np.delete(left, best)
        found.append(np.sort(taken))
    return tuple(found)


def selection(space: FeatureSpace, parts: int, noise: float = 1.0) -> Parts:
    r"""The first students' features together tell the classes apart best: forward selection.

    The next feature is always the one with which those taken so far, S, explain most of the labels y, as
    vectors with a single 1, by a linear map, where a student gives each feature with an error of ``noise``
    times its variance:

    .. math:: \mathrm{tr}\bigl(B_S^T (C_{SS} + \sigma I)^{-1} B_S\bigr), \quad
              C = \mathrm{corr}(x), \quad B = \mathrm{cov}(x / \mathrm{std}(x), y)

    The first student gets the first run of that order, and so on. Of equal features the first is taken.
    Sizes differ by at most one. ``noise`` is σ: a feature that repeats another one still adds something.

    Raises
    ------
    InputError
        ``noise`` is not positive.
    """
    if not noise > 0:
        raise InputError(f"selection: noise {noise} must be positive")
    order: list[int] = []
    x = _units((space.features - space.features.mean(axis=0, dtype=np.float64)).T)
    y = np.equal.outer(space.labels, np.unique(space.labels)).astype(np.float64)
    own, shared = x @ x.T + noise * np.eye(space.size), x @ (y - y.mean(axis=0))
    while len(order) < space.size:
        gain = np.square(shared).sum(axis=1) / np.diag(own)
        gain[order] = -1.0
        best = int(gain.argmax())
        explained = own[:, best] / own[best, best]
        shared = shared - np.outer(explained, shared[best])
        own = own - np.outer(explained, own[best])
        own[best, best] = 1.0  # nothing is left of it
        order.append(best)
    return _runs(np.array(order, np.int64), parts)


STRATEGIES: dict[str, PartitionStrategy] = {
    one.__name__: one for one in (contiguous, random, correlation, attribution, coverage, selection)
}
"""As experiments name them."""


def _clusters_of_live(space: FeatureSpace, affinity: FloatArray, parts: int) -> Parts:
    """Clusters of the features that vary; the dead ones, alike to each other only, fill up the parts."""
    live = np.flatnonzero(np.mean(space.features == space.features.min(axis=0), axis=0) < DEAD)
    if len(live) < parts:
        return balanced_clusters(affinity, parts)
    found = [live[part] for part in balanced_clusters(affinity[np.ix_(live, live)], parts)]
    for feature in np.setdiff1d(np.arange(space.size), live):
        smallest = min(range(parts), key=lambda k: len(found[k]))
        found[smallest] = np.append(found[smallest], feature)
    return tuple(np.sort(part) for part in found)


def class_profiles(space: FeatureSpace) -> FloatArray:
    """How much each feature matters for each class: see :func:`attribution`; shape (classes, F)."""
    weights = space.class_weights
    if weights is None:
        raise InputError("class attribution needs the teacher's last linear map; give class_weights")
    classes = int(space.labels.max()) + 1
    if weights.ndim != 2 or weights.shape[1] != space.size or len(weights) < classes:
        raise InputError(
            f"class weights of shape {weights.shape} do not fit {space.size} features and labels up to "
            f"{classes - 1}; expected (classes, F)"
        )
    features = space.features.astype(np.float64)
    overall = features.mean(axis=0)
    profiles = np.zeros(weights.shape)
    for label in np.unique(space.labels):
        profiles[label] = weights[label] * (features[space.labels == label].mean(axis=0) - overall)
    return profiles


def _cosines(vectors: FloatArray) -> FloatArray:
    """Cosines between rows, 0 for a row that is negligible beside the longest one."""
    unit = _units(vectors)
    return np.asarray(unit @ unit.T)


def _units(vectors: FloatArray) -> FloatArray:
    """Rows of length 1, or 0 for a row that is negligible beside the longest one."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = length > 1e-9 * length.max(initial=0.0)
    return np.where(known, vectors / np.where(known, length, 1.0), 0.0)


def balanced_clusters(affinity: FloatArray, parts: int) -> Parts:
    """Divide items into parts, of sizes that differ by at most one, with high affinity within each.

    The leaves of an average-linkage tree, cut into equal runs; then the exchange of two items of different
    parts that gains most, until none gains. No randomness: equal affinities give equal parts. ``affinity`` is
    symmetric, of shape (F, F).
    """
    order = _leaves(affinity)
    owner = np.empty(len(affinity), dtype=np.int64)
    for index, run in enumerate(np.array_split(order, parts)):
        owner[run] = index
    _exchange(affinity, owner, parts)
    return tuple(np.flatnonzero(owner == index).astype(np.int64) for index in range(parts))


def _leaves(affinity: FloatArray) -> IntArray:
    """Items in the order of an average-linkage tree's leaves."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(affinity) < 2:
        return np.arange(len(affinity))
    distance = np.clip(1.0 - (affinity + affinity.T) / 2, 0.0, None)
    np.fill_diagonal(distance, 0.0)
    return np.asarray(leaves_list(linkage(squareform(distance, checks=False), "average")))


def _exchange(affinity: FloatArray, owner: IntArray, parts: int) -> None:
    """Exchange items in place while the affinity within parts grows."""
    own = affinity.copy()
    np.fill_diagonal(own, 0.0)
    members: list[IntArray] = [np.flatnonzero(owner == part) for part in range(parts)]
    to_part = np.stack([own[:, part].sum(axis=1) for part in members], axis=1)
    tolerance = 1e-9 * max(float(np.abs(own).sum()), 1e-300) / max(len(owner), 1)
    pairs = [(a, b) for a in range(parts) for b in range(a + 1, parts)]
    best = {pair: _best_exchange(own, to_part, members, pair) for pair in pairs}
    while best:
        a, b = max(pairs, key=lambda pair: best[pair][0])
        gain, first, second = best[a, b]
        if gain <= tolerance:
            return
        change = own[:, second] - own[:, first]
        to_part[:, a] += change
        to_part[:, b] -= change
        owner[first], owner[second] = b, a
        members[a], members[b] = np.flatnonzero(owner == a), np.flatnonzero(owner == b)
        for pair in pairs:
            if a in pair or b in pair:
                best[pair] = _best_exchange(own, to_part, members, pair)


def _best_exchange(
    own: FloatArray, to_part: FloatArray, members: list[IntArray], pair: tuple[int, int]
) -> tuple[float, int, int]:
    """What exchanging two items of two parts gains at most, and which two.

    Each gains what the other part gives and loses its own, and neither finds the other there.
    """
    a, b = pair
    first, second = members[a], members[b]
    leaving = (to_part[first, b] - to_part[first, a])[:, None] + (to_part[second, a] - to_part[second, b])
    gain = leaving - 2 * own[np.ix_(first, second)]
    i, j = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return float(gain[i, j]), int(first[i]), int(second[j])


def partition(strategy: PartitionStrategy, space: FeatureSpace, parts: int) -> Parts:
    """Divide the features among ``parts`` students: int64 arrays, not empty, disjoint, together 0..F-1.

    Raises
    ------
    InputError
        ``parts`` is not in 1..F, or the strategy left a feature out or gave it twice.
    """
    if not 1 <= parts <= space.size:
        raise InputError(f"cannot divide {space.size} features among {parts} students; use 1 to {space.size}")
    result = strategy(space, parts)
    if len(result) != parts or any(part.size == 0 for part in result):
        raise InputError(f"{strategy!r} gave {[part.size for part in result]} features, not {parts} parts")
    if not np.array_equal(np.sort(np.concatenate(result)), np.arange(space.size)):
        raise InputError(f"{strategy!r} must give each of {space.size} features to exactly one student")
    return result
