"""The graph executor against Norse's own cells, on chains that both can run, in float64."""

from __future__ import annotations

from typing import Any

import norse.torch as snn
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sne_deploy as sne
from sne_deploy.ir.program import Program
from sne_deploy.passes.pipeline import compile_student
from sne_norse.graph_executor import GraphExecutor
from sne_norse.norse_modules import norse_modules
from tests.chip_registers import LOIHI1
from tests.effort import examples
from tests.networks import INPUT_SHAPE, NETWORKS, network

STEPS, SAMPLES, SIZE = 25, 4, 6


def compiled(module: torch.nn.Module, shape: tuple[int, ...], encoder: str) -> Program:
    ensemble = sne.ensemble([module], input_shape=shape, timesteps=STEPS)
    kind = sne.Encoder(encoder)  # type: ignore[arg-type]  # one of the two
    return compile_student(
        ensemble.students[0],
        input_shape=shape,
        timesteps=STEPS,
        encoder=kind,
        precision="float",
        formats=LOIHI1,
    )


def samples(program: Program, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if program.constant_input:
        return rng.random((SAMPLES, *program.input.shape))
    return (rng.random((SAMPLES, STEPS, *program.input.shape)) < 0.4).astype(np.uint8)


def check(program: Program, inputs: np.ndarray) -> int:
    """Every group at every step: spikes bit for bit, membranes to rounding; the number of spikes."""
    modules = norse_modules(program)
    assert modules is not None
    count = 0
    pairs = zip(modules.steps(inputs), GraphExecutor(program).steps(inputs), strict=True)
    for t, (expected, got) in enumerate(pairs):
        assert set(expected) == set(got) == {group.name for group in program.groups}
        for group in program.groups:
            assert got[group.name].dtype == np.float64
            if group.spiking:
                np.testing.assert_array_equal(got[group.name], expected[group.name], f"{group.name}, {t}")
                count += int(got[group.name].sum())
            else:
                np.testing.assert_allclose(got[group.name], expected[group.name], rtol=1e-11, atol=1e-12)
    return count


@pytest.mark.parametrize("encoder", ["spikes", "constant"])
@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks(name: str, encoder: str) -> None:
    program = compiled(network(name), INPUT_SHAPE, encoder)
    assert check(program, samples(program, seed=3)) > SAMPLES * STEPS


FRACTION = st.floats(0.05, 0.95)
CELL = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(("LIFCell", "LIFBoxCell", "IAFCell", "LIFRecurrentCell")),
        "a": FRACTION,
        "b": FRACTION,
        "v_th": st.floats(0.1, 1.0),
        "v_leak": st.floats(-0.3, 0.3),
        "v_reset": st.floats(-0.5, 0.05),
        "per_neuron": st.booleans(),
    }
)


def cell(draw: dict[str, Any], rng: np.random.Generator) -> torch.nn.Module:
    """A cell with SIZE neurons, all alike or each with its own parameters."""

    def tensor(value: float) -> torch.Tensor:
        spread = rng.uniform(0.8, 1.0, SIZE) if draw["per_neuron"] else 1.0
        return torch.tensor(value * spread, dtype=torch.float64)

    mem, syn = tensor(1000 * draw["a"]), tensor(1000 * draw["b"])
    fires = {"v_th": tensor(draw["v_th"]), "v_reset": tensor(draw["v_reset"])}
    leak = {"v_leak": tensor(draw["v_leak"])}
    if draw["kind"] == "LIFBoxCell":
        return snn.LIFBoxCell(snn.LIFBoxParameters(tau_mem_inv=mem, **leak, **fires))
    if draw["kind"] == "IAFCell":
        return snn.IAFCell(snn.IAFParameters(**fires))
    parameters = snn.LIFParameters(tau_mem_inv=mem, tau_syn_inv=syn, **leak, **fires)
    if draw["kind"] == "LIFCell":
        return snn.LIFCell(parameters)
    return snn.LIFRecurrentCell(SIZE, SIZE, parameters)


@given(
    st.lists(CELL, min_size=1, max_size=3),
    st.sampled_from(("spikes", "constant")),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(60))
def test_random_chains(cells: list[dict[str, Any]], encoder: str, readout: bool, seed: int) -> None:
    """A membrane that meets its threshold to within rounding is the one excuse; random numbers never do."""
    torch.manual_seed(seed % 2**31)
    rng = np.random.default_rng(seed)
    layers: list[torch.nn.Module] = []
    for draw in cells:
        layers += [torch.nn.Linear(SIZE, SIZE), cell(draw, rng)]
    if readout:
        layers += [torch.nn.Linear(SIZE, 3), snn.LICell(snn.LIParameters(tau_mem_inv=torch.tensor(300.0)))]
    module = snn.SequentialState(*layers)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2.0)
    program = compiled(module, (SIZE,), encoder)
    check(program, samples(program, seed))


def test_the_random_chains_spike() -> None:
    """What the property compares is not silence."""
    draw = {
        "kind": "LIFCell",
        "a": 0.3,
        "b": 0.5,
        "v_th": 0.3,
        "v_leak": 0.1,
        "v_reset": -0.1,
        "per_neuron": True,
    }
    torch.manual_seed(0)
    layers = [torch.nn.Linear(SIZE, SIZE), cell(draw, np.random.default_rng(0))]
    program = compiled(snn.SequentialState(*layers), (SIZE,), "spikes")
    assert check(program, samples(program, 0)) > 20
