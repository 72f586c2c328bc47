"""Every strategy gives every feature to exactly one student."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.partition import Contiguous, FeatureSpace, Random, partition
from sne_deploy.errors import InputError


def space(features: int) -> FeatureSpace:
    return FeatureSpace(np.zeros((3, features)), np.arange(3))


@given(data=st.data(), features=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_each_feature_once_and_sizes_balanced(data, features, seed):
    parts = data.draw(st.integers(1, features))
    for strategy in (Contiguous(), Random(seed)):
        result = partition(strategy, space(features), parts)
        assert len(result) == parts
        assert sorted(np.concatenate(result).tolist()) == list(range(features))
        sizes = [part.size for part in result]
        assert max(sizes) - min(sizes) <= 1
        assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in result)


def test_contiguous_by_hand():
    assert [part.tolist() for part in partition(Contiguous(), space(5), 2)] == [[0, 1, 2], [3, 4]]


def test_random_depends_on_its_seed_alone():
    first, again, other = (partition(Random(seed), space(32), 4) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("parts", [0, -1, 6])
def test_refuses_impossible_numbers_of_parts(parts):
    with pytest.raises(InputError, match=rf"cannot divide 5 features among {parts} students; use 1 to 5"):
        partition(Contiguous(), space(5), parts)


class Fixed:
    """A strategy that answers what it was told."""

    def __init__(self, *parts: list[int]) -> None:
        self.parts = tuple(np.array(part, dtype=np.int64) for part in parts)

    def split(self, space: FeatureSpace, parts: int) -> tuple[np.ndarray, ...]:
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
