"""Neurons that one scale would harm get their own, in any unit, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.chips.chip import load_chip
from sne_deploy.ir.program import HostAffine, Program, ProgramInput, Synapse
from sne_deploy.ir.verify import verify
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_deploy.passes.quantise import Quantise
from tests.chip_registers import LOIHI1
from tests.effort import examples
from tests.float_programs import float_program
from tests.reference import simulate

FORMATS = {
    "8": LOIHI1,
    "5": LOIHI1.narrowed(5),
    "16": LOIHI1.narrowed(16),
    "loihi2": load_chip("loihi2").registers,
}
UNITS = np.array([1.0, 10.0, 100.0, 1000.0])


def counts(program: Program, x: np.ndarray) -> np.ndarray:
    """Spikes of each neuron on each sample."""
    return np.asarray(simulate(program, x).layers["g"].raster).sum(axis=1)


@settings(max_examples=examples(20), deadline=None)
@given(
    bits=st.sampled_from(sorted(FORMATS)),
    kind=st.sampled_from(["lif", "cuba_lif", "if"]),
    log_units=st.lists(st.floats(-4, 4), min_size=4, max_size=4),
    form=st.sampled_from(["dense", "sparse", "loop"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_neuron_spikes_as_in_any_other_unit(
    bits: str, kind: str, log_units: list[float], form: str, seed: int
) -> None:
    """What has another unit, in weights, threshold, bias and start, is the same neuron."""
    rng = np.random.default_rng(seed)
    row = np.tile(np.abs(rng.normal(size=10)), (4, 1))
    units = 10.0 ** np.asarray(log_units)
    real = float_program(
        row * units[:, None],
        kind,
        30,
        dv=np.asarray(0.0 if kind == "if" else 0.1),
        vth_mant=2.5 * units,
        bias_mant=0.05 * units,
        v_init=0.5 * units,
    )
    if form == "sparse":
        (only,) = real.synapses
        weights = SparseWeights(sparse.csr_matrix(only.weights.values))
        real = replace(real, synapses=(replace(only, weights=weights),))
    if form == "loop":
        loop = DenseWeights(-0.3 * np.eye(4) * units[:, None])
        real = replace(real, synapses=(*real.synapses, Synapse("loop", "g", "g", loop, within_sample=True)))
    fixed = Quantise(FORMATS[bits]).apply(real)
    verify(fixed, after="quantise")
    x = (rng.random((2, 30, 10)) < 0.3).astype(np.uint8)
    found, wanted = counts(fixed, x), counts(real, x)
    assert np.abs(found - wanted).max() <= (4 if bits == "5" else 1)
    assert len(np.unique(fixed.groups[0].vth_mant)) == 1 or np.ptp(units) / units.max() < 1


def test_uniform_groups_keep_one_scale_and_one_synapse() -> None:
    fixed = Quantise(LOIHI1).apply(float_program(np.random.default_rng(0).normal(size=(20, 30))))
    assert np.ndim(fixed.groups[0].scale) == 0
    assert len(fixed.synapses) == 1


def test_readouts_of_unequal_size_are_divided_by_their_own_scale() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 10)) * UNITS[:, None]
    real = float_program(weights, "cuba_li")
    fixed = Quantise(LOIHI1).apply(real)
    x = (np.random.default_rng(1).random((5, 16, 10)) < 0.3).astype(np.uint8)
    exact, found = (
        program.readout_in_units(np.asarray(simulate(program, x).raw_outputs)) for program in (real, fixed)
    )
    assert np.shape(fixed.groups[0].scale) == (4,)
    np.testing.assert_allclose(found / UNITS, exact / UNITS, atol=0.3)


def test_a_constant_input_has_the_scale_of_its_neuron() -> None:
    rng = np.random.default_rng(0)
    matrix = np.tile(np.abs(rng.normal(size=7)), (4, 1)) * UNITS[:, None]
    base = float_program(np.ones((4, 1)), vth_mant=5.0 * UNITS)
    real = replace(
        base,
        input=ProgramInput("input", (7,), "current", (0.0, 1.0)),
        groups=(replace(base.groups[0], depth=0),),
        synapses=(),
        hosts=(HostAffine("g", sparse.csr_matrix(matrix), np.zeros(4)),),
    )
    fixed = Quantise(LOIHI1).apply(real)
    verify(fixed, after="quantise")
    x = rng.random((6, 7))
    assert np.shape(fixed.hosts[0].register_scale) == (4,)
    assert np.abs(counts(fixed, x) - counts(real, x)).max() <= 1


def conv_program(kernel: np.ndarray, vth: np.ndarray) -> Program:
    """Two maps of 4x4 into a channel for each row of the kernel."""
    channels = len(kernel)
    weights = ConvWeights(kernel, (2, 4, 4), (channels, 4, 4), padding=(1, 1))
    base = float_program(np.ones((channels * 16, 32)), timesteps=30, vth_mant=np.repeat(vth, 16))
    group = replace(base.groups[0], shape=(channels, 4, 4))
    return replace(base, groups=(group,), synapses=(replace(base.synapses[0], weights=weights),))


def test_the_neurons_of_a_channel_share_a_scale() -> None:
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(4, 2, 3, 3)) * UNITS[:, None, None, None]
    real = conv_program(kernel, 1.5 * UNITS)
    fixed = Quantise(LOIHI1).apply(real)
    verify(fixed, after="quantise")
    assert all(isinstance(synapse.weights, ConvWeights) for synapse in fixed.synapses)
    scales = np.asarray(fixed.groups[0].scale).reshape(4, 16)
    assert np.all(scales == scales[:, :1])
    assert len(np.unique(scales)) == 4
    x = (rng.random((2, 30, 32)) < 0.3).astype(np.uint8)
    assert np.abs(counts(fixed, x) - counts(real, x)).max() <= 1


@pytest.mark.parametrize("form", ["dense", "conv"])
def test_a_neuron_of_tiny_weights_has_a_synapse_of_its_own(form: str) -> None:
    """With the thresholds of the others; its synapses are counted once."""
    rng = np.random.default_rng(4)
    if form == "dense":
        weights = np.abs(rng.normal(size=(4, 40)))
        weights[2] /= 300
        real = float_program(weights, "if", 60, dv=np.asarray(0.0), vth_mant=np.asarray(1.0))
    else:
        kernel = np.abs(rng.normal(size=(4, 2, 3, 3)))
        kernel[2] /= 50
        real = conv_program(kernel, np.ones(4))
        real = replace(real, groups=(replace(real.groups[0], kind="if", dv=np.asarray(0.0)),))
    fixed = Quantise(LOIHI1).apply(real)
    verify(fixed, after="quantise")
    assert [synapse.name for synapse in fixed.synapses] == ["fc", "fc.2"]
    both = [synapse.weights.matrix() for synapse in fixed.synapses]
    assert both[0].multiply(both[1]).nnz == 0
    x = (rng.random((2, real.timesteps, real.input.size)) < 0.3).astype(np.uint8)
    found, wanted = counts(fixed, x), counts(real, x)
    assert np.abs(found - wanted).max() <= 1
    assert wanted.reshape(2, 4, -1)[:, 2].max(axis=1).min() > 0


def test_more_thresholds_than_a_core_has_are_told() -> None:
    """A channel has one scale, whatever the thresholds in it."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 2, 3, 3)) * UNITS[:, None, None, None]
    real = conv_program(kernel, UNITS)
    (group,) = real.groups
    uneven = replace(group, vth_mant=group.vth_mant * np.tile(np.linspace(1.0, 1.1, 16), 4))
    fixed = Quantise(LOIHI1).apply(replace(real, groups=(uneven,)))
    assert "distinct thresholds; a core of loihi1 has 8: it takes" in "".join(fixed.warnings)
    assert Quantise(LOIHI1).apply(real).warnings == ()
