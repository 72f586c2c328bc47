"""Quantisation stays within the registers, proves what it promises, and says what it loses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.bounds import (
    host_range,
    register_bounds,
    register_notes,
    state_bounds,
    synaptic_range,
)
from sne_deploy.ir.program import HostAffine, ProgramInput, Synapse
from sne_deploy.ir.verify import verify
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.passes.quantise import Quantise
from tests.chip_registers import LOIHI1
from tests.float_programs import float_program


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(["lif", "cuba_lif", "if", "li", "cuba_li"]),
    log_scale=st.floats(-4, 4),
    sign=st.sampled_from(["mixed", "positive", "negative"]),
    du=st.floats(1e-4, 1.0),
    dv=st.floats(1e-4, 1.0),
    bias=st.floats(-0.5, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_registers_are_in_range_and_bounds_hold(
    kind: str, log_scale: float, sign: str, du: float, dv: float, bias: float, seed: int
) -> None:
    weights = np.random.default_rng(seed).normal(size=(4, 12)) * 10.0**log_scale
    weights = {"mixed": weights, "positive": np.abs(weights), "negative": -np.abs(weights)}[sign]
    unit = 10.0**log_scale
    fixed = Quantise(LOIHI1).apply(
        float_program(
            weights,
            kind,
            du=np.asarray(du if kind.startswith("cuba") else 1.0),
            dv=np.asarray(0.0 if kind == "if" else dv),
            vth_mant=np.asarray(unit),
            bias_mant=np.asarray(bias * unit),
            v_init=np.asarray(0.0 if kind.endswith("li") else -0.1 * unit),
        )
    )
    verify(fixed, after="quantise")
    low, high = synaptic_range(fixed.synapses, 4)
    bounds = state_bounds(fixed.groups[0], low, high, fixed.timesteps, LOIHI1)
    assert register_bounds(fixed)["g"] == bounds
    assert any("may wrap" in text for text in register_notes(fixed)) == bounds.u_may_wrap(LOIHI1)
    if not fixed.groups[0].spiking:
        assert bounds.v_extent <= LOIHI1.vth_max


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_scale_maps_registers_back(seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=(6, 20))
    fixed = Quantise(LOIHI1).apply(float_program(weights))
    synapse, target = fixed.synapses[0], fixed.groups[0]
    real = np.asarray(synapse.weights.values) * 2.0 ** (synapse.weight_exp + 6) / target.scale
    assert synapse.quantisation_snr_db is not None
    noise = np.sum((weights - real) ** 2)
    assert synapse.quantisation_snr_db == pytest.approx(10 * np.log10(np.sum(weights**2) / noise))
    assert synapse.quantisation_snr_db > 35
    assert float(target.vth_mant) * 64 / target.scale == pytest.approx(1.0, abs=0.01)


def test_an_outlier_is_clipped_when_that_is_better() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(40, 100)) * 0.01
    weights[0, 0] = 0.2
    fixed = Quantise(LOIHI1).apply(float_program(weights))
    kept = Quantise(LOIHI1).apply(float_program(np.where(weights == 0.2, 0.03, weights)))
    assert fixed.synapses[0].quantisation_snr_db is not None
    assert kept.synapses[0].quantisation_snr_db is not None
    assert kept.synapses[0].quantisation_snr_db >= fixed.synapses[0].quantisation_snr_db


def test_sign_modes_use_their_whole_range() -> None:
    rng = np.random.default_rng(0)
    positive = Quantise(LOIHI1).apply(float_program(np.abs(rng.normal(size=(4, 9)))))
    negative = Quantise(LOIHI1).apply(float_program(-np.abs(rng.normal(size=(4, 9)))))
    mixed = Quantise(LOIHI1).apply(float_program(rng.normal(size=(4, 9))))
    modes = [p.synapses[0].sign_mode for p in (positive, negative, mixed)]
    assert modes == ["excitatory", "inhibitory", "mixed"]
    assert np.any(np.asarray(positive.synapses[0].weights.values) % 2 == 1)
    assert np.all(np.asarray(mixed.synapses[0].weights.values) % 2 == 0)


def test_a_threshold_at_the_reset_value_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"student 'tiny'.*'g' has v_th - v_reset = 0.*above v_reset"):
        Quantise(LOIHI1).apply(float_program(np.ones((2, 2)), vth_mant=np.asarray(0.0)))


def test_a_readout_that_fits_nowhere_is_refused() -> None:
    weights = np.ones((1, 20_000))
    with pytest.raises(UnsupportedError, match=r"readout 'g' can reach.*8388544.*fewer inputs"):
        Quantise(LOIHI1).apply(
            float_program(weights, "cuba_li", timesteps=64, du=np.asarray(0.01), dv=np.asarray(0.01))
        )


def test_a_possible_wrap_of_a_spiking_group_is_said_of_the_program_and_is_no_warning_of_a_run() -> None:
    weights = np.tile(np.linspace(0.5, 1.0, 4000), (2, 1))
    fixed = Quantise(LOIHI1).apply(float_program(weights, "cuba_lif", timesteps=64, du=np.asarray(0.001)))
    (note,) = register_notes(fixed)
    assert "layer 'g': u may wrap; in the worst case |u| reaches" in note
    assert fixed.warnings == ()


def test_a_constant_input_uses_its_register_without_clipping() -> None:
    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix(rng.normal(size=(5, 7)))
    base = float_program(np.ones((5, 1)))
    host = HostAffine("g", matrix, rng.normal(size=5))
    real = replace(
        base,
        input=ProgramInput("input", (7,), "current", (-1.0, 2.0)),
        groups=(replace(base.groups[0], depth=0),),
        synapses=(),
        hosts=(host,),
    )
    fixed = Quantise(LOIHI1).apply(real)
    verify(fixed, after="quantise")
    (host,) = fixed.hosts
    assert host.register_scale is not None
    x = rng.uniform(-1.0, 2.0, (50, 7))
    extremes = np.where(matrix.toarray() > 0, 2.0, -1.0)
    c, saturated = host.drive(np.concatenate([x, extremes, 1.0 - extremes]))
    assert saturated == 0
    assert np.issubdtype(c.dtype, np.integer)
    expected = np.concatenate([x, extremes, 1.0 - extremes]) @ matrix.toarray().T + host.bias
    np.testing.assert_allclose(c / host.register_scale, expected, atol=0.51 / host.register_scale)
    low, high = host_range(host, real.input)
    assert max(np.abs(low).max(), np.abs(high).max()) * host.register_scale > 1000


def test_a_constant_input_outside_its_range_is_clipped_and_counted() -> None:
    host = HostAffine(
        "g",
        sparse.csr_matrix(np.eye(2)),
        np.zeros(2),
        register_scale=100.0,
        register_limit=LOIHI1.bias_mant_max,
    )
    c, saturated = host.drive(np.array([[1.0, 50.0], [-41.0, 0.0]]))
    assert c.tolist() == [[100, 4095], [-4095, 0]]
    assert saturated == 2


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 9))
def test_the_hosts_constants_do_not_depend_on_the_batch(seed: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    host = HostAffine("g", sparse.random(13, 31, 0.5, format="csr", random_state=seed), rng.normal(size=13))
    x = rng.normal(size=(9, 31))
    whole, _ = host.drive(x)
    parts = np.concatenate([host.drive(x[i : i + batch])[0] for i in range(0, 9, batch)])
    np.testing.assert_array_equal(whole, parts)


def test_the_input_program_is_not_changed() -> None:
    weights = np.random.default_rng(0).normal(size=(3, 4))
    real = float_program(weights.copy())
    Quantise(LOIHI1).apply(real)
    assert real.precision == "float"
    np.testing.assert_array_equal(real.synapses[0].weights.values, weights)


def test_a_synapse_that_rounds_to_nothing_is_a_warning() -> None:
    big, tiny = np.full((2, 3), 1.0), np.full((2, 3), 1e-9)
    base = float_program(big)
    both = replace(
        base,
        synapses=(*base.synapses, Synapse("faint", "g", "g", DenseWeights(tiny[:, :2]), within_sample=True)),
    )
    fixed = Quantise(LOIHI1).apply(both)
    assert any("every weight of 'faint' rounds to zero" in warning for warning in fixed.warnings)
