"""Networks of integers are found to be such and stored without loss, in the registers of their training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.chips.chip import load_chip
from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.ir.program import Program, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.passes.lattice import step_of
from sne_deploy.passes.quantise import Quantise
from tests.chip_registers import LOIHI1
from tests.effort import examples
from tests.float_programs import float_program
from tests.reference import simulate

FORMATS = {
    "8": LOIHI1,
    "4": LOIHI1.narrowed(4),
    "16": LOIHI1.narrowed(16),
    "loihi2": load_chip("loihi2").registers,
}


def integers(formats: RegisterFormats, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Weights of both signs that the formats hold, in steps of 1, both ends among them."""
    to = formats.weight_range("mixed")
    most = to.high * (16 if formats.synapses_per_weight > 1 else 1) // to.step
    found = rng.integers(-most, most + 1, shape)
    found[0, :3] = most, -most, 1
    return found


@settings(max_examples=examples(40), deadline=None)
@given(
    bits=st.sampled_from(sorted(FORMATS)),
    step=st.floats(1e-4, 10.0),
    threshold=st.integers(20, 400),
    single=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_weights_that_are_integers_of_any_step_are_stored_as_these(
    bits: str, step: float, threshold: int, single: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    whole = integers(FORMATS[bits], rng, (5, 9))
    weights = whole * step
    if single:
        weights = weights.astype(np.float32).astype(np.float64)
    fixed = Quantise(FORMATS[bits]).apply(float_program(weights, vth_mant=np.asarray(threshold * step)))
    stored = sum(np.asarray(s.weights.values) << s.weight_exp for s in fixed.synapses)
    unit = stored[0, 2]
    np.testing.assert_array_equal(stored, whole * unit)
    assert fixed.groups[0].vth_mant == threshold * unit


@pytest.mark.parametrize("scale", [2.0**6, 2.0**12])
def test_a_network_in_registers_gets_these_registers(scale: float) -> None:
    rng = np.random.default_rng(0)
    registers = 2 * rng.integers(-96, 97, (20, 30))
    unit = 64 / scale
    du, dv = np.asarray(1024 / 4096), np.asarray(410 / 4096)
    real = float_program(registers * unit, "cuba_lif", 100, du=du, dv=dv, vth_mant=np.asarray(300 * unit))
    fixed = Quantise(LOIHI1).apply(real)
    (synapse,), (group,) = fixed.synapses, fixed.groups
    np.testing.assert_array_equal(np.asarray(synapse.weights.values) << synapse.weight_exp, registers)
    assert (group.vth_mant, group.du, group.dv, group.scale) == (300, 1023, 410, scale)


def test_with_decays_that_are_no_registers_the_largest_scale_without_an_error_wins() -> None:
    """It was trained in real numbers, to which finer states are nearer."""
    whole = 2 * np.random.default_rng(0).integers(-100, 101, (20, 4))
    real = float_program(whole / 64, timesteps=50, dv=np.asarray(0.1), vth_mant=np.asarray(2.0))
    fixed = Quantise(LOIHI1).apply(real)
    assert fixed.groups[0].scale == pytest.approx(2.0**19)
    assert fixed.synapses[0].quantisation_snr_db == np.inf


def test_the_spikes_are_those_of_floating_point() -> None:
    rng = np.random.default_rng(1)
    whole = 2 * rng.integers(-96, 97, (10, 12))
    real = float_program(whole / 64, timesteps=60, dv=np.asarray(0.1), vth_mant=np.asarray(6 / 64))
    x = (rng.random((4, 60, 12)) < 0.2).astype(np.uint8)
    floats, fixed = (simulate(each, x).layers["g"] for each in (real, Quantise(LOIHI1).apply(real)))
    assert floats.raster == fixed.raster
    assert sum(floats.spikes) > 100


def recurrent(weights: np.ndarray, loop: np.ndarray, **changes: object) -> Program:
    """With synapses of the group to itself."""
    base = float_program(weights, "cuba_lif", **changes)
    own = Synapse("loop", "g", "g", DenseWeights(loop), within_sample=True)
    return replace(base, synapses=(*base.synapses, own))


def test_the_synapses_of_a_group_share_a_scale_that_is_exact_for_all() -> None:
    rng = np.random.default_rng(2)
    first, second = integers(LOIHI1, rng, (6, 9)), integers(LOIHI1, rng, (6, 6))
    fixed = Quantise(LOIHI1).apply(recurrent(first * 0.03, second * 0.12))
    assert [synapse.quantisation_snr_db for synapse in fixed.synapses] == [np.inf, np.inf]


def test_any_other_network_is_no_lattice() -> None:
    assert step_of(np.random.default_rng(0).normal(size=1000), 255) is None
    assert step_of(np.zeros(5), 255) is None
    assert step_of(np.array([0.3, -0.5, 0.0]), 255) == pytest.approx(0.1)
    assert step_of(np.array([0.1, 25.6]), 255) is None
