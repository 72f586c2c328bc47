"""Encoders: a sample's spikes depend on the seed and its index alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.data import encode
from sne_deploy.errors import DataError
from sne_deploy.model.ensemble import Encoder


@given(seed=st.integers(0, 2**63), order=st.permutations(range(6)), cut=st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_bernoulli_depends_on_seed_and_index_alone(seed, order, cut):
    encoder = Encoder("bernoulli")
    x = np.random.default_rng(0).random((6, 2, 3))
    whole = encode(encoder, x, 5, seed)
    assert whole.dtype == np.uint8
    assert whole.shape == (6, 5, 2, 3)
    parts = [encode(encoder, x[:cut], 5, seed), encode(encoder, x[cut:], 5, seed, first_index=cut)]
    assert np.array_equal(np.concatenate(parts), whole)
    one_by_one = {index: encode(encoder, x[index : index + 1], 5, seed, first_index=index) for index in order}
    assert np.array_equal(np.concatenate([one_by_one[index] for index in range(6)]), whole)


def test_bernoulli_rates_are_the_probabilities_and_seeds_differ():
    x = np.tile(np.array([0.0, 0.25, 0.5, 1.0]), (2000, 1))
    spikes = encode(Encoder("bernoulli"), x, 10, seed=7)
    rates = spikes.mean(axis=(0, 1))
    assert rates[0] == 0.0
    assert rates[3] == 1.0
    assert np.abs(rates - x[0]).max() < 0.02
    assert not np.array_equal(spikes, encode(Encoder("bernoulli"), x, 10, seed=8))
    assert not np.array_equal(spikes[0], spikes[1])


def test_constant_is_x_and_spikes_are_checked():
    x = np.random.default_rng(0).random((3, 2)).astype(np.float32)
    encoded = encode(Encoder("constant"), x, 4, 0)
    assert encoded.dtype == np.float64
    assert np.array_equal(encoded, x)
    spikes = np.ones((3, 4, 2))
    assert np.array_equal(encode(Encoder("spikes"), spikes, 4, 0), spikes)
    with pytest.raises(DataError, match="does not have 5 steps"):
        encode(Encoder("spikes"), spikes, 5, 0)
    with pytest.raises(DataError, match="spikes are 0 or 1"):
        encode(Encoder("spikes"), 0.5 * spikes, 4, 0)
    with pytest.raises(DataError, match="are no probabilities"):
        encode(Encoder("bernoulli", (0.0, 2.0)), 2 * spikes, 4, 0)
    with pytest.raises(DataError, match="seed -1"):
        encode(Encoder("bernoulli"), x, 4, -1)
