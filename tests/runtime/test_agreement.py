"""Spike agreement against its definition by sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.errors import DataError
from sne_deploy.runtime.agreement import compare_spikes

SHAPE = (2, 3, 4)
flags = st.lists(st.booleans(), min_size=24, max_size=24).map(lambda bits: np.array(bits).reshape(SHAPE))


@given(flags, flags)
def test_is_intersection_over_union(a: np.ndarray, b: np.ndarray) -> None:
    first, second = (set(zip(*np.nonzero(x), strict=True)) for x in (a, b))
    union = first | second
    assert compare_spikes(a, b).agreement == (len(first & second) / len(union) if union else 1.0)


@given(flags)
def test_equal_recordings_agree_and_opposite_ones_do_not(a: np.ndarray) -> None:
    assert compare_spikes(a, a).agreement == 1.0
    assert compare_spikes(a, ~a).agreement == 0.0


def test_a_shift_in_time_is_a_difference() -> None:
    a = np.zeros((1, 3, 2), bool)
    a[0, 0, 0] = True
    assert compare_spikes(a, np.roll(a, 1, axis=1)).agreement == 0.0


def test_nothing_against_nothing_agrees() -> None:
    empty = np.zeros(SHAPE, bool)
    assert compare_spikes(empty, empty).agreement == 1.0


def test_wrong_arrays_are_refused() -> None:
    a = np.zeros(SHAPE, bool)
    with pytest.raises(DataError, match=r"shapes \(2, 3, 4\) and \(1, 3, 4\) differ"):
        compare_spikes(a, a[:1])
    with pytest.raises(DataError, match="the second recording is int64, not bool"):
        compare_spikes(a, a.astype(np.int64))
