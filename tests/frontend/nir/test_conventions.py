"""The time step that constants imply, and faults of exporters, by name."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.conventions import check_time_step, time_step_hint
from tests.effort import examples
from tests.frontend.nir.test_input_shapes import chain, shape
from tests.graphs import DT_S, random_graphs

STEPS = st.sampled_from([1.0, 1e-3, 1e-4, 5e-4, 0.02, 1 / 30, 3.3e-5])
RATES = st.lists(st.floats(0.02, 0.95), min_size=1, max_size=4)


def lif(tau: Any, r: Any, dtype: str = "f8") -> nir.LIF:
    tau, r = np.atleast_1d(np.asarray(tau, dtype)), np.atleast_1d(np.asarray(r, dtype))
    zeros = np.zeros_like(tau)
    return nir.LIF(tau=tau, r=r * np.ones_like(tau), v_leak=zeros, v_threshold=zeros + 1, v_reset=zeros)


def cuba(tau_syn: Any, tau_mem: Any, r: Any, w_in: Any) -> nir.CubaLIF:
    tau_syn, tau_mem = np.atleast_1d(tau_syn), np.atleast_1d(tau_mem)
    ones = np.ones_like(tau_mem)
    return nir.CubaLIF(
        tau_syn=tau_syn, tau_mem=tau_mem, r=r * ones, v_leak=0 * ones, v_threshold=ones, w_in=w_in * ones
    )


def integrate(r: Any) -> nir.IF:
    r = np.atleast_1d(np.asarray(r, dtype=float))
    return nir.IF(r=r, v_threshold=np.ones_like(r), v_reset=np.zeros_like(r))


@settings(max_examples=examples(60))
@given(STEPS, RATES, RATES, st.sampled_from(["f4", "f8"]))
def test_snntorch(dt_s: float, betas: list[float], alphas: list[float], dtype: str) -> None:
    """tau = dt / (1 - beta), r = tau / dt, w_in = tau_syn / dt, as its exporter computes them."""
    beta, alpha = np.asarray(betas, dtype), np.asarray(alphas[:1] * len(betas), dtype)
    tau, tau_syn = dt_s / (1 - beta), dt_s / (1 - alpha)
    made = chain(lif(tau, tau / dt_s, dtype), cuba(tau_syn, tau, tau / dt_s, tau_syn / dt_s))
    hint = time_step_hint(made)
    assert hint == pytest.approx(dt_s, rel=1e-4)
    assert check_time_step(made, dt_s) == ()


@settings(max_examples=examples(60))
@given(STEPS, st.lists(st.floats(1.2, 400), min_size=1, max_size=4))
def test_rockpool(dt_s: float, steps: list[float]) -> None:
    """r = tau exp(-dt / tau) / dt: no ratio of it is dt, and of different tau none is another's."""
    tau = np.asarray(steps) * dt_s
    made = chain(lif(tau, tau * np.exp(-dt_s / tau) / dt_s))
    apart = max(steps) > 1.1 * min(steps) and min(steps) < 50
    if apart or (dt_s in (1e-3, 1e-4) and min(steps) < 200):
        assert time_step_hint(made) == pytest.approx(dt_s, rel=1e-4)
        (note,) = check_time_step(made, dt_s)
        assert "as Rockpool writes it" in note


def test_neurons_without_a_leak_and_sinabs() -> None:
    assert time_step_hint(chain(integrate([1e4, 1e4]))) == 1e-4
    assert time_step_hint(chain(nir.I(np.full(3, 1000.0)))) == 1e-3
    assert time_step_hint(chain(integrate(1.0), lif(20.0, 1.0))) == 1.0
    assert time_step_hint(chain(integrate(1.0), lif(0.02, 1.0))) is None  # 1 s is longer than 0.02 s
    inner = chain(integrate(1000.0), enters=shape(1), leaves=shape(1))
    assert time_step_hint(chain(inner, integrate(1000.0))) == 1e-3


def test_what_implies_nothing() -> None:
    for made in (
        chain(lif(0.02, 1.0)),
        chain(cuba(0.005, 0.01, 1.0, 1.0)),
        chain(nir.Linear(np.ones((2, 2)))),
        chain(lif([0.02, 0.02], [2.0, 3.0])),
        chain(integrate([1000.0, 500.0])),
        chain(integrate([0.0])),
        chain(integrate([-1.0])),
        chain(lif(0.02, 0.5)),  # dt = 0.04 s would be longer than tau
    ):
        assert time_step_hint(made) is None
        assert check_time_step(made, 0.001) == () or isinstance(made.nodes["n0"], nir.CubaLIF)


@settings(max_examples=examples(60))
@given(random_graphs(nested=2))
def test_any_graph_has_a_hint_or_none_that_its_time_constants_allow(made: nir.NIRGraph) -> None:
    hint = time_step_hint(made)
    assert hint is None or hint > 0
    if hint is not None:
        check_time_step(made, hint)
    for note in check_time_step(made, DT_S):
        assert "\n" not in note


def test_a_contradiction_names_both_and_the_factor() -> None:
    made = chain(integrate(1e4))
    (note,) = check_time_step(made, 1e-3)
    assert "dt is 0.001 s" in note
    assert "imply 0.0001 s: inputs count 10 times" in note
    assert "give --dt-s 0.0001" in note
    assert check_time_step(made, 1.009e-4) == ()


SHORT = {
    "thousandth": (
        chain(lif([1e-5, 2e-5], 1.0)),
        (
            r"node 'n0': tau 1e-05 s is 100 times shorter than dt = 0\.001 s; give --dt-s of at most 1e-05, "
            r"or, if Norse 1\.1\.0's own export wrote it, .* multiply them by 1000 or export with sne-deploy$"
        ),
    ),
    "synapse": (chain(cuba(1e-5, 1e-2, 1.0, 0.01)), "node 'n0': tau_syn 1e-05 s is 100 times shorter.*Norse"),
    "hint": (
        chain(lif(2e-4, 2.0)),
        r"tau 0\.0002 s is 5 times shorter than dt = 0\.001 s; .* imply dt = 0\.0001 s: give --dt-s 0\.0001$",
    ),
    "much shorter": (
        chain(lif(1e-9, 1.0)),
        r"1e\+06 times shorter than dt = 0\.001 s; give --dt-s of at most 1e-09$",
    ),
    "worst": (chain(lif(5e-4, 1.0), lif(1e-4, 1.0)), r"node 'n1': tau 0\.0001 s is 10 times shorter"),
}


@pytest.mark.parametrize("case", SHORT)
def test_a_time_constant_below_dt_is_an_error_with_the_likely_cause(case: str) -> None:
    made, match = SHORT[case]
    with pytest.raises(GraphError, match=match):
        check_time_step(made, 1e-3)


def test_time_in_steps_is_suspected_where_nothing_would_decay() -> None:
    (note,) = check_time_step(chain(lif(20.0, 1.0)), 1e-3)
    assert "node 'n0': tau is 20 s, 2e+04 steps of 0.001 s, next to no decay" in note
    assert check_time_step(chain(lif(20.0, 1.0), lif(0.02, 1.0)), 1e-3) == ()
    assert check_time_step(chain(lif(20.0, 1.0)), 1.0) == ()


def test_gains_of_one_as_norse_writes_them() -> None:
    (note,) = check_time_step(chain(lif(0.02, 1.0), integrate(1.0), integrate(1.0)), 1e-3)
    assert "nodes 'n1', 'n2' (IF): r is 1, so an input adds 0.001 of itself per step" in note
    (note,) = check_time_step(chain(cuba(0.004, 0.01, 1.0, 1.0)), 1e-3)
    assert "node 'n0' (CubaLIF, CubaLI): w_in and r are 1" in note
    assert "0.25 of itself or less" in note
    assert check_time_step(chain(cuba(0.004, 0.01, 1.0, 4.0)), 1e-3) == ()
    assert check_time_step(chain(cuba(0.001, 0.01, 1.0, 1.0)), 1e-3) == ()
    (note,) = check_time_step(chain(cuba(0.004, 0.01, 10.0, 1.0)), 1e-3)
    assert "node 'n0': r implies a step of 0.001 s, but w_in is 1, so an input adds 0.25 of itself" in note
    assert "--gain full (--convention mlx-snn)" in note
    (note,) = check_time_step(chain(cuba(0.004, 0.01, 5.0, 4.0)), 1e-3)
    assert "tau_mem / r is 0.002 s and tau_syn / w_in is 0.001 s" in note
    assert "--gain full" in note
