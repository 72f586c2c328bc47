"""No input drives a state past its bound, and the extreme inputs reach it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.ir.bounds import state_bounds, synaptic_range
from sne_deploy.ir.program import NeuronGroup, Synapse
from sne_deploy.ir.weights import DenseWeights
from tests.chip_registers import LOIHI1


def _group(kind: str, n: int, du: int, dv: int, vth: int, bias: int, v_init: int) -> NeuronGroup:
    values = {"du": du, "dv": dv, "vth_mant": vth, "bias_mant": bias, "v_init": v_init}
    arrays = {name: np.asarray(value, dtype=np.int32) for name, value in values.items()}
    return NeuronGroup("g", kind, (n,), bias_exp=1, depth=1, scale=1.0, v_reset=np.asarray(0.0), **arrays)


def _walk(group: NeuronGroup, drive: np.ndarray) -> tuple[int, int, int, int]:
    """Extremes of u and v of one neuron, with Python integers, without wrap or saturation."""
    du, dv, bias = int(group.du), int(group.dv), int(group.bias_mant) << group.bias_exp
    u, v = 0, int(group.v_init)
    us, vs = [0], [v]

    def toward_zero(value: int, keep: int) -> int:
        product = abs(value) * keep >> 12
        return product if value >= 0 else -product

    vth = int(group.vth_mant) << 6
    for a_in in drive.tolist():
        waits = group.reset_delayed and v > vth
        u = toward_zero(u, 4096 - du - 1) + (a_in << 6)
        v = 0 if waits else toward_zero(v, 4096 - dv) + u + bias
        us.append(u)
        vs.append(v)
        if group.spiking and v > vth and not group.reset_delayed:
            v = 0
            vs.append(v)
    return min(us), max(us), min(vs), max(vs)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["lif", "li", "cuba_lif", "cuba_li"]),
    du=st.integers(0, 4095),
    dv=st.integers(0, 4095),
    vth=st.integers(1, 2000),
    bias=st.integers(-4096, 4095),
    v_init=st.integers(-5000, 5000),
    timesteps=st.integers(1, 20),
    delayed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_input_passes_the_bounds(
    kind: str, du: int, dv: int, vth: int, bias: int, v_init: int, timesteps: int, delayed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    group = _group(kind, 1, du, dv, vth, bias, v_init)
    group = replace(group, reset_delayed=delayed and group.spiking)
    weights = rng.integers(-120, 120, (1, 8)).astype(np.int32) * 2
    low, high = synaptic_range([Synapse("s", "input", "g", DenseWeights(weights), 2)], 1)
    bounds = state_bounds(group, low, high, timesteps, LOIHI1)
    trials = [rng.integers(0, 2, (timesteps, 8)) for _ in range(5)]
    trials += [np.tile((weights[0] > 0), (timesteps, 1)), np.tile((weights[0] < 0), (timesteps, 1))]
    for spikes in trials:
        u_min, u_max, v_min, v_max = _walk(group, (spikes @ weights[0]) << 2)
        assert bounds.u_min <= u_min <= u_max <= bounds.u_max
        assert bounds.v_min <= v_min <= v_max <= bounds.v_max


def test_the_step_after_a_spike_is_within_the_bounds() -> None:
    """Excitation at every step, from above 0: v is 0 nowhere but where a delayed reset makes it 0."""
    group = replace(_group("lif", 1, 4095, 0, 20, 0, 5000), reset_delayed=True)
    drive = np.full(6, 30)
    bounds = state_bounds(group, drive[:1], drive[:1], len(drive), LOIHI1)
    assert _walk(group, drive)[2] == bounds.v_min == 0


def test_a_readouts_bound_is_reached() -> None:
    group = _group("li", 1, 4095, 400, 0, 3, 0)
    weights = np.array([[100, -60]], dtype=np.int32)
    low, high = synaptic_range([Synapse("s", "input", "g", DenseWeights(weights), 0)], 1)
    bounds = state_bounds(group, low, high, 12, LOIHI1)
    _, u_max, _, v_max = _walk(group, np.full(12, 100))
    assert (bounds.u_max, bounds.v_max) == (u_max, v_max)


def test_float_bounds_hold_and_are_reached() -> None:
    group = NeuronGroup(
        "g", "li", (1,), np.asarray(0.5), np.asarray(0.25), np.asarray(0.0), np.asarray(0.1), 0,
        np.asarray(0.0), 1, 1.0, np.asarray(0.0),
    )  # fmt: skip
    bounds = state_bounds(group, np.array([-1.0]), np.array([2.0]), 3)
    u = v = 0.0
    for _ in range(3):
        u = 0.5 * u + 2.0
        v = 0.75 * v + u + 0.1
    assert bounds.u_max == u
    assert bounds.v_max == v


def test_wrapping_is_recognised_at_the_exact_limit() -> None:
    group = _group("cuba_li", 1, 4095, 4095, 0, 0, 0)
    inside = state_bounds(group, np.zeros(1), np.array([LOIHI1.state_limit / 64]), 1, LOIHI1)
    outside = state_bounds(group, np.zeros(1), np.array([LOIHI1.state_limit / 64 + 1]), 1, LOIHI1)
    below = state_bounds(group, np.array([-LOIHI1.state_limit / 64]), np.zeros(1), 1, LOIHI1)
    assert not inside.u_may_wrap(LOIHI1)
    assert outside.u_may_wrap(LOIHI1)
    assert below.u_may_wrap(LOIHI1)
