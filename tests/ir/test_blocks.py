"""What is computed block by block has the bits of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.ir import blocks
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import DenseWeights, row_extents, row_powers
from sne_deploy.passes.weight_registers import extent, quantise_synapse


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 200)


@pytest.mark.parametrize("size", [0, 1, 199, 201, 1000, 1023, 4097, 12_345])
def test_a_total_is_numpys(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size) ** 3
    assert blocks.total(size, values.__getitem__) == np.sum(values)
    assert blocks.total(size, values.__getitem__) != np.sum(values[::-1]) or size < 2


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(70, 31), (7, 900), (1, 500), (500, 1)])
def test_weights_are_looked_at_by_blocks(shape: tuple[int, int], order: str) -> None:
    array = np.asarray(np.random.default_rng(1).normal(size=shape) ** 3, order=order)
    assert np.shares_memory(blocks.flat(array), array)
    weights = DenseWeights(array)
    low, high = weights.input_range()
    assert low.tobytes() == np.minimum(array, 0).sum(axis=1).tobytes()
    assert high.tobytes() == np.maximum(array, 0).sum(axis=1).tobytes()
    assert row_extents(weights).tolist() == np.abs(array).max(axis=1).tolist()
    assert row_powers(weights, array).tobytes() == np.einsum("ij,ij->i", array, array).tobytes()


@pytest.mark.parametrize("bits", [8, 16])
def test_registers_and_their_error_are_those_of_the_whole(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = load_chip(DEFAULT_CHIP).registers.narrowed(bits)
    array = np.random.default_rng(2).normal(size=(70, 31)) ** 3
    synapse = Synapse("a", "input", "b", DenseWeights(array))
    found = quantise_synapse(synapse, 2.0**14, formats)
    monkeypatch.setattr(blocks, "BLOCK", 2**20)
    whole = quantise_synapse(synapse, 2.0**14, formats)
    assert len(found) == bits // 8
    for one, other in zip(found, whole, strict=True):
        assert one.weights.values.tolist() == other.weights.values.tolist()
        same = ("name", "weight_exp", "sign_mode", "saturated_weights", "quantisation_snr_db")
        assert all(getattr(one, name) == getattr(other, name) for name in same)


def test_the_magnitude_of_the_least_integer_is_not_that_of_its_type() -> None:
    array = np.array([[-128, 127], [3, -5]], np.int8)
    assert row_extents(DenseWeights(array)).tolist() == [128, 5]
    assert extent(array) == 128
