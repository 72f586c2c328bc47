"""Weights in 2 to 8 bits, and in two synapses: ranges, errors, and that two are better than one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.errors import InputError
from sne_deploy.ir.program import SignMode, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.passes.weight_registers import WeightSample, quantise_synapse
from tests.chip_registers import LOIHI1


@st.composite
def synapses(draw: st.DrawFn) -> Synapse:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=(draw(st.integers(1, 6)), draw(st.integers(1, 6))))
    values = {"mixed": values, "excitatory": np.abs(values), "inhibitory": -np.abs(values)}[
        draw(st.sampled_from(("mixed", "excitatory", "inhibitory")))
    ]
    return Synapse("s", "input", "g", DenseWeights(values * 10.0 ** draw(st.integers(-3, 1))))


def in_student_units(parts: tuple[Synapse, ...], scale: float) -> np.ndarray:
    return sum(p.weights.values * 2.0 ** (LOIHI1.state_shift + p.weight_exp) / scale for p in parts)  # type: ignore[return-value]  # arrays


@given(synapse=synapses(), bits=st.sampled_from((*range(2, 9), 16)), octave=st.integers(8, 24))
def test_stored_weights_fit_their_registers_and_the_error_is_the_stated_one(
    synapse: Synapse, bits: int, octave: int
) -> None:
    scale = 2.0**octave
    parts = quantise_synapse(synapse, scale, LOIHI1.narrowed(bits))
    assert len(parts) <= (2 if bits == 16 else 1)
    for part in parts:
        stored = LOIHI1.narrowed(bits).weight_range(part.sign_mode)
        values = np.asarray(part.weights.values)
        assert values.min() >= stored.low
        assert values.max() <= stored.high
        assert not np.any(values % stored.step)
        assert 0 <= part.weight_exp <= LOIHI1.weight_exp_max
    stated = WeightSample.of(synapse, LOIHI1).error(scale, LOIHI1.narrowed(bits))
    left = synapse.weights.values - in_student_units(parts, scale)
    assert np.sum(left**2) == pytest.approx(stated, rel=1e-9, abs=1e-300)


@given(synapse=synapses(), octave=st.integers(8, 24))
def test_two_synapses_are_never_worse_than_one(synapse: Synapse, octave: int) -> None:
    one, two = (
        WeightSample.of(synapse, LOIHI1).error(2.0**octave, LOIHI1.narrowed(bits)) for bits in (8, 16)
    )
    assert two <= one * (1 + 1e-9)


@given(mode=st.sampled_from(("mixed", "excitatory", "inhibitory")), bits=st.integers(2, 8))
def test_so_many_bits_are_so_many_levels(mode: SignMode, bits: int) -> None:
    stored = LOIHI1.narrowed(bits).weight_range(mode)
    assert len(range(stored.low, stored.high + 1, stored.step)) == 2**bits


def test_the_second_synapse_holds_what_the_first_leaves() -> None:
    weights = np.array([[1.0, 0.1234567], [-0.7654321, 0.5]])
    first, second = quantise_synapse(
        Synapse("s", "input", "g", DenseWeights(weights)), 2.0**20, LOIHI1.narrowed(16)
    )
    assert (first.name, second.name) == ("s", "s.low")
    assert second.weight_exp < first.weight_exp
    assert first.quantisation_snr_db == second.quantisation_snr_db
    assert first.quantisation_snr_db is not None
    assert first.quantisation_snr_db > 75  # 8 bits alone: about 45 dB here
    np.testing.assert_allclose(in_student_units((first, second), 2.0**20), weights, atol=2.0**-14)


@pytest.mark.parametrize("bits", [0, 1, 9, 15, 17])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=f"--weight-bits {bits}: a weight has 2 to 8 bits, or 16"):
        LOIHI1.narrowed(bits)
