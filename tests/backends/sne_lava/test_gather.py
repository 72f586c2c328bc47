"""Event-driven sums against the plain matrix product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sne_lava.gather import ColumnGather, RowGather


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_out, n_in = draw(st.integers(1, 30)), draw(st.integers(1, 200))
    matrix = rng.integers(-256, 256, (n_out, n_in)) * (rng.random((n_out, n_in)) < draw(st.floats(0, 1)))
    active = np.flatnonzero(rng.random(n_in) < draw(st.sampled_from((0.0, 0.01, 0.1, 1.0))))
    return matrix.astype(np.int32), active


@given(cases())
def test_integers_equal_the_product(case):
    matrix, active = case
    spikes = np.zeros(matrix.shape[1], np.int64)
    spikes[active] = 1
    for gather in (RowGather(matrix), ColumnGather(sparse.csr_matrix(matrix))):
        np.testing.assert_array_equal(gather(active), matrix.astype(np.int64) @ spikes)
        np.testing.assert_array_equal(gather.fan_out, (matrix != 0).sum(axis=0))


@given(cases(), st.integers(0, 2**32 - 1))
def test_both_ways_of_a_sparse_sum_are_the_same_bits(case, seed):
    """Real weights: gathering and multiplying add in the same order."""
    matrix, active = case
    real = sparse.csr_matrix(matrix * np.random.default_rng(seed).random(matrix.shape))
    always, never = ColumnGather(real), ColumnGather(real)
    always.GATHER_FRACTION, never.GATHER_FRACTION = 2.0, -1.0
    np.testing.assert_array_equal(always(active), never(active))


@pytest.mark.parametrize("kind", [RowGather, lambda w: ColumnGather(sparse.csr_matrix(w))])
def test_no_weights_at_all(kind):
    gather = kind(np.zeros((3, 4), np.int32))
    assert gather(np.arange(4)).tolist() == [0, 0, 0]
    assert gather.fan_out.tolist() == [0, 0, 0, 0]
