"""The exported graph, integrated as NIR defines it, is Norse in float64."""

import nir
import norse.torch as norse
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sne_deploy.frontend.norse.export import export_student
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Student

T, N = 40, 6


def integrate(node, x, dt):
    """Forward Euler of one NIR neuron on x [T, B, N]: outputs, membranes before the reset, and v_th - v."""
    v = np.zeros(x.shape[1:]) + (node.v_reset if isinstance(node, nir.IF) else node.v_leak)
    current = np.zeros(x.shape[1:])
    outputs, margins = [], []
    for step in x:
        if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
            current = current + dt / node.tau_syn * (node.w_in * step - current)
            v = v + dt / node.tau_mem * (node.v_leak - v + node.r * current)
        elif isinstance(node, (nir.LIF, nir.LI)):
            v = v + dt / node.tau * (node.v_leak - v + node.r * step)
        else:
            v = v + dt * node.r * step
        if isinstance(node, (nir.LI, nir.CubaLI)):
            outputs.append(v)
            continue
        spikes = v > node.v_threshold
        margins.append(np.abs(v - node.v_threshold))
        v = np.where(spikes, node.v_reset, v)
        outputs.append(spikes.astype(float))
    return np.stack(outputs), min((m.min() for m in margins), default=np.inf)


def make_cell(kind, p, dt):
    a = {k: torch.tensor(v, dtype=torch.float64) for k, v in p.items()}
    tau = {k: torch.tensor(v / dt, dtype=torch.float64) for k, v in (("m", p["a"]), ("s", p["b"]))}
    fires = {"v_th": a["v_th"], "v_reset": a["v_reset"]}
    cells = {
        "LIFCell": lambda: norse.LIFParameters(tau["s"], tau["m"], a["v_leak"], **fires),
        "LIFBoxCell": lambda: norse.LIFBoxParameters(tau["m"], a["v_leak"], **fires),
        "LICell": lambda: norse.LIParameters(tau["s"], tau["m"], a["v_leak"]),
        "LIBoxCell": lambda: norse.LIBoxParameters(tau["m"], a["v_leak"]),
        "IAFCell": lambda: norse.IAFParameters(**fires),
    }
    return getattr(norse, kind)(cells[kind](), dt=dt)


KINDS = ["LIFCell", "LIFBoxCell", "LICell", "LIBoxCell", "IAFCell"]
fraction = st.floats(0.01, 0.99)
parameters = st.fixed_dictionaries(
    {
        "a": fraction,
        "b": fraction,
        "v_leak": st.floats(-1, 1),
        "v_th": st.floats(0.1, 2),
        "v_reset": st.floats(-1, 1),
    }
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(p=parameters, dt=st.sampled_from([0.001, 0.0003, 0.01]), seed=st.integers(0, 2**16))
def test_nir_equals_norse_spike_for_spike(kind, p, dt, seed):
    cell = make_cell(kind, p, dt)
    x = np.random.default_rng(seed).normal(0.4, 1.5, size=(T, 2, N))
    state, expected = None, []
    with torch.no_grad():
        for step in torch.as_tensor(x):
            output, state = cell(step, state)
            expected.append(output.detach().numpy())
    graph = export_student(Student("s", layers_from_module(cell), "count"), (N,))
    (node,) = (n for n in graph.nodes.values() if not isinstance(n, (nir.Input, nir.Output)))
    outputs, margin = integrate(node, x, graph.metadata["dt_s"])
    assume(margin > 1e-9)  # at the threshold itself, rounding decides
    np.testing.assert_allclose(outputs, np.stack(expected), rtol=0, atol=1e-9)


def test_the_recurrent_graph_equals_norse():
    torch.manual_seed(1)
    f64 = torch.float64
    p = norse.LIFParameters(*(torch.tensor(v, dtype=f64) for v in (130.0, 171.0, 0.125, 0.3, -0.25)))
    weights = [torch.randn(N, N, dtype=f64) for _ in range(2)]
    cell = norse.LIFRecurrentCell(N, N, p, input_weights=weights[0], recurrent_weights=weights[1], dt=0.002)
    x = np.random.default_rng(0).normal(size=(T, 1, N))
    graph = export_student(Student("s", layers_from_module(cell), "count"), (N,))
    node, w_in, w_rec = (graph.nodes[f"lifrecurrentcell_0{part}"] for part in ("", "_input", "_recurrent"))
    spikes, v, current = np.zeros((1, N)), np.zeros((1, N)) + node.v_leak, np.zeros((1, N))
    state, fired = None, 0
    for step in x:
        with torch.no_grad():
            expected, state = cell(torch.as_tensor(step), state)
        s = step @ w_in.weight.T + spikes @ w_rec.weight.T
        current = current + 0.002 / node.tau_syn * (node.w_in * s - current)
        v = v + 0.002 / node.tau_mem * (node.v_leak - v + node.r * current)
        spikes = (v > node.v_threshold).astype(float)
        v = np.where(spikes > 0, node.v_reset, v)
        assert np.array_equal(spikes, expected.numpy())
        fired += spikes.sum()
    assert fired > 10
