"""Every strategy gives every feature to exactly one student."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.losses import decorrelation
from sne_deploy.distill.teacher.partition import (
    FeatureSpace,
    PartitionStrategy,
    attribution,
    balanced_clusters,
    class_profiles,
    contiguous,
    correlation,
    coverage,
    partition,
    random,
    selection,
)
from sne_deploy.errors import InputError


def space(features: int) -> FeatureSpace:
    return FeatureSpace(np.zeros((3, features)), np.arange(3))


@given(data=st.data(), features=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_each_feature_once_and_sizes_balanced(data, features, seed):
    parts = data.draw(st.integers(1, features))
    for strategy in (contiguous, partial(random, seed=seed)):
        result = partition(strategy, space(features), parts)
        assert len(result) == parts
        assert sorted(np.concatenate(result).tolist()) == list(range(features))
        sizes = [part.size for part in result]
        assert max(sizes) - min(sizes) <= 1
        assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in result)


def test_contiguous_by_hand():
    assert [part.tolist() for part in partition(contiguous, space(5), 2)] == [[0, 1, 2], [3, 4]]


def test_random_depends_on_its_seed_alone():
    first, again, other = (partition(partial(random, seed=seed), space(32), 4) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("parts", [0, -1, 6])
def test_refuses_impossible_numbers_of_parts(parts):
    with pytest.raises(InputError, match=rf"cannot divide 5 features among {parts} students; use 1 to 5"):
        partition(contiguous, space(5), parts)


class Fixed:
    """A strategy that answers what it was told."""

    def __init__(self, *parts: list[int]) -> None:
        self.parts = tuple(np.array(part, dtype=np.int64) for part in parts)

    def __call__(self, space: FeatureSpace, parts: int) -> tuple[np.ndarray, ...]:
        return self.parts


@pytest.mark.parametrize("parts", [([0, 1], [1, 2]), ([0], [2]), ([0, 1, 2], [3])])
def test_refuses_a_strategy_that_loses_or_repeats_features(parts):
    with pytest.raises(InputError, match="must give each of 3 features to exactly one student"):
        partition(Fixed(*parts), space(3), 2)


def test_refuses_a_strategy_with_an_empty_part():
    with pytest.raises(InputError, match=r"gave \[3, 0\] features, not 2 parts"):
        partition(Fixed([0, 1, 2], []), space(3), 2)


def test_feature_space_refuses_labels_of_another_length():
    with pytest.raises(InputError, match=r"expected \(N, F\) and \(N,\)"):
        FeatureSpace(np.zeros((3, 2)), np.zeros(4, dtype=np.int64))


def any_space(seed: int, features: int) -> FeatureSpace:
    """Correlated, constant and repeated features of any scale; classes without samples."""
    rng = np.random.default_rng(seed)
    samples, classes = int(rng.integers(1, 12)), int(rng.integers(1, 6))
    values = rng.normal(size=(samples, features)) @ rng.normal(size=(features, features))
    values[:, rng.random(features) < 0.3] = 1.5
    values *= 10.0 ** rng.integers(-3, 4, features)
    labels = rng.integers(0, classes, samples)
    return FeatureSpace(values.astype(np.float32), labels, rng.normal(size=(classes, features)))


@given(data=st.data(), features=st.integers(1, 16), seed=st.integers(0, 2**31))
def test_clustering_gives_each_feature_once_in_balanced_parts_and_is_deterministic(data, features, seed):
    parts = data.draw(st.integers(1, features))
    for strategy in (correlation, attribution):
        first, again = (partition(strategy, any_space(seed, features), parts) for _ in range(2))
        sizes = [part.size for part in first]
        assert max(sizes) - min(sizes) <= 1
        assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in first)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def within(affinity: np.ndarray, parts: tuple[np.ndarray, ...]) -> float:
    return sum(float(affinity[np.ix_(part, part)].sum()) for part in parts)


@given(items=st.integers(2, 9), parts=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_no_exchange_of_two_items_raises_the_affinity_within_parts(items, parts, seed):
    affinity = np.random.default_rng(seed).normal(size=(items, items))
    affinity = affinity + affinity.T
    np.fill_diagonal(affinity, 0.0)
    result = balanced_clusters(affinity, min(parts, items))
    reached = within(affinity, result)
    for (a, first), (b, second) in itertools.permutations(enumerate(result), 2):
        for f, g in itertools.product(first, second):
            moved = list(result)
            moved[a], moved[b] = np.append(first[first != f], g), np.append(second[second != g], f)
            assert within(affinity, tuple(moved)) <= reached + 1e-6


def groups_of(parts: tuple[np.ndarray, ...]) -> set[frozenset[int]]:
    return {frozenset(part.tolist()) for part in parts}


@given(seed=st.integers(0, 2**31), groups=st.integers(2, 5), size=st.integers(2, 6))
def test_correlation_recovers_planted_groups(seed, groups, size):
    rng = np.random.default_rng(seed)
    member = rng.permutation(np.repeat(np.arange(groups), size))
    sign = rng.choice([-1.0, 1.0], groups * size)
    common = rng.normal(size=(400, groups))
    features = sign * common[:, member] + 0.5 * rng.normal(size=(400, groups * size))
    space = FeatureSpace(features * 10.0 ** rng.integers(-3, 3, groups * size), np.zeros(400, dtype=np.int64))
    found = partition(correlation, space, groups)
    assert groups_of(found) == {frozenset(np.flatnonzero(member == g).tolist()) for g in range(groups)}
    left = decorrelation(torch.from_numpy(features), found)
    for other in (contiguous, partial(random, seed=seed)):
        assert left <= decorrelation(torch.from_numpy(features), partition(other, space, groups)) + 1e-9


@given(seed=st.integers(0, 2**31), classes=st.integers(2, 5), size=st.integers(1, 4), joined=st.booleans())
def test_attribution_recovers_features_tied_to_classes(seed, classes, size, joined):
    """Two classes share a part where there are half as many parts; no class is split."""
    classes, parts = (2 * classes, classes) if joined else (classes, classes)
    rng = np.random.default_rng(seed)
    member = rng.permutation(np.repeat(np.arange(classes), size))
    labels = np.repeat(np.arange(classes), 30)
    features = (labels[:, None] == member) + 0.2 * rng.normal(size=(len(labels), classes * size))
    weights = (np.arange(classes)[:, None] == member) + 0.1 * rng.normal(size=(classes, classes * size))
    weights, features = weights / 0.05, features * 0.05  # the teacher's units do not matter
    found = partition(attribution, FeatureSpace(features, labels, weights), parts)
    for group in range(classes):
        assert sum(bool(np.isin(part, np.flatnonzero(member == group)).any()) for part in found) == 1


def test_class_profiles_by_hand():
    space = FeatureSpace(
        np.array([[1.0, 0], [3, 0], [5, 6]]), np.array([0, 0, 2]), np.array([[2.0, 1], [9, 9], [1, -1]])
    )
    # means 3 and 2; of class 0: 2 and 0, of class 2: 5 and 6; class 1 has no samples
    assert class_profiles(space).tolist() == [[-2.0, -2.0], [0.0, 0.0], [2.0, -4.0]]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (None, "needs the teacher's last linear map; give class_weights"),
        (np.zeros((3, 4)), r"class weights of shape \(3, 4\) do not fit 5 features and labels up to 2"),
        (np.zeros((2, 5)), r"class weights of shape \(2, 5\) do not fit 5 features and labels up to 2"),
    ],
)
def test_attribution_refuses(weights, message):
    with pytest.raises(InputError, match=message):
        partition(attribution, FeatureSpace(np.zeros((3, 5)), np.arange(3), weights), 2)


@pytest.mark.parametrize("strategy", [correlation, attribution])
def test_dead_features_are_no_part_of_their_own(strategy: PartitionStrategy) -> None:
    rng = np.random.default_rng(0)
    features = rng.random((200, 12))
    features[:, [1, 3, 5, 7, 9, 11]] = 0.0
    features[0, 3] = 1e-4
    space = FeatureSpace(features, rng.integers(0, 3, 200), rng.normal(size=(3, 12)))
    for part in partition(strategy, space, 3):
        assert sorted(int(f) % 2 for f in part) == [0, 0, 1, 1]


@given(seed=st.integers(0, 2**32 - 1), features=st.integers(2, 12), data=st.data())
def test_coverage_takes_what_adds_most_to_what_a_part_knows(
    seed: int, features: int, data: st.DataObject
) -> None:
    parts = data.draw(st.integers(1, features))
    random = np.random.default_rng(seed)
    found = FeatureSpace(
        random.random((30, features)), np.arange(30) % 3, random.standard_normal((3, features))
    )
    profiles = class_profiles(found)

    def known(chosen: list[int]) -> float:
        return sum(math.log(1 + sum(max(row[f], 0) for f in chosen)) for row in profiles)

    left = list(range(features))
    for part in partition(coverage, found, parts):
        assert len(part) - features // parts in (0, 1)
        chosen: list[int] = []
        for _ in part:
            best = max(left, key=lambda f: known([*chosen, f]))
            assert best in part
            chosen.append(best)
            left.remove(best)


def explained(x: np.ndarray, y: np.ndarray, noise: float) -> float:
    """Part of the labels' variance that a linear map of the standardised features, seen with noise, gives."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0))
    x = x / np.where(scale > 0, scale, 1.0)
    noisy = np.vstack([x, math.sqrt(noise) * np.eye(x.shape[1])])  # ridge regression as least squares
    target = np.vstack([y, np.zeros((x.shape[1], y.shape[1]))])
    return float((target**2).sum() - ((target - noisy @ np.linalg.lstsq(noisy, target)[0]) ** 2).sum())


@given(seed=st.integers(0, 2**32 - 1), features=st.integers(2, 10), data=st.data())
def test_selection_takes_what_explains_most_with_all_before_it(
    seed: int, features: int, data: st.DataObject
) -> None:
    parts = data.draw(st.integers(1, features))
    noise = data.draw(st.sampled_from([0.1, 1.0, 3.0]))
    random = np.random.default_rng(seed)
    labels = np.arange(30) % 3
    x = random.standard_normal((30, features)) * 10.0 ** random.integers(-3, 3, features)
    x += labels[:, None] * random.random(features)
    x[:, random.random(features) < 0.2] = 0.5
    found = partition(partial(selection, noise=noise), FeatureSpace(x, labels), parts)
    taken: list[int] = []
    for part in found:
        left = [f for f in range(features) if f not in taken]
        for _ in part:
            worth = {f: explained(x[:, [*taken, f]], np.eye(3)[labels], noise) for f in left}
            best = max(worth.values())
            mine = [f for f in part if f in left and worth[f] >= best - 1e-9]
            assert mine, (worth, part)
            taken.append(mine[0])
            left.remove(mine[0])
        assert set(taken[-len(part) :]) == set(part.tolist())


def test_selection_leaves_a_repeated_feature_to_the_next_student() -> None:
    labels = np.arange(40) % 4
    high, low = (labels // 2).astype(float), (labels % 2).astype(float)
    x = np.stack([high, high, low, low], axis=1)
    assert [part.tolist() for part in partition(selection, FeatureSpace(x, labels), 2)] == [[0, 2], [1, 3]]


@pytest.mark.parametrize("noise", [0.0, -1.0, math.nan])
def test_selection_refuses_impossible_noise(noise: float) -> None:
    with pytest.raises(InputError, match=f"selection: noise {noise} must be positive"):
        selection(space(3), 1, noise)


def test_coverage_by_hand() -> None:
    """Two features for each of two classes: each part gets one of both, the first part the stronger ones."""
    labels = np.array([0, 1])
    features = np.array([[4.0, 2.0, 0.0, 0.0], [0.0, 0.0, 4.0, 2.0]])
    weights = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    found = partition(coverage, FeatureSpace(features, labels, weights), 2)
    assert [part.tolist() for part in found] == [[0, 2], [1, 3]]
