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


@given(flags, flags)
def test_slices_add_up_and_the_worst_neuron_is_that_of_the_least_agreement(
    a: np.ndarray, b: np.ndarray
) -> None:
    a, b = (np.tile(each, (1, 10, 1)) for each in (a, b))
    whole = compare_spikes(a, b)
    found = compare_spikes(a[:1], b[:1]) + compare_spikes(a[1:], b[1:])
    assert (found.agreement, found.worst_neuron) == (whole.agreement, whole.worst_neuron)
    either = (a | b).sum(axis=(0, 1))
    shares = [
        (a & b)[..., n].sum() / either[n] if either[n] and either[n] >= either.mean() / 10 else 2.0
        for n in range(4)
    ]
    assert (
        compare_spikes(a[:, :9], b[:, :9]).worst_neuron is None or (a | b)[:, :9].sum(axis=(0, 1)).max() >= 10
    )
    worst = None if not either.any() else (int(np.argmin(shares)), min(shares))
    assert found.worst_neuron == worst


def test_long_recordings_are_counted_in_full() -> None:
    a = np.ones((2, 300, 3), bool)
    assert compare_spikes(a, a).reference == 1800
