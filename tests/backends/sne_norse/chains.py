"""Chains of Norse's cells with random parameters, and Programs of them."""

from __future__ import annotations

from typing import Any

import norse.torch as snn
import numpy as np
import torch
from hypothesis import strategies as st
from norse.torch.functional.reset import reset_subtract, reset_value

import sne_deploy as sne
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.ir.program import Program
from sne_deploy.ir.readout import Readout
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1

STEPS, SAMPLES, SIZE = 25, 4, 6
SPIKING = ("LIFCell", "LIFBoxCell", "IAFCell", "LIFRecurrentCell")

FRACTION = st.floats(0.05, 0.95)
CELL = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(SPIKING),
        "a": FRACTION,
        "b": FRACTION,
        "v_th": st.floats(0.1, 1.0),
        "v_leak": st.floats(-0.3, 0.3),
        "v_reset": st.floats(-0.5, 0.05),
        "per_neuron": st.booleans(),
        "subtracts": st.booleans(),
    }
)
DRAW: dict[str, Any] = {
    "a": 0.3,
    "b": 0.5,
    "v_th": 0.3,
    "v_leak": 0.1,
    "v_reset": -0.1,
    "per_neuron": True,
    "subtracts": False,
}
"""One of CELL, but for its kind."""


def cell(draw: dict[str, Any], rng: np.random.Generator) -> torch.nn.Module:
    """A cell with SIZE neurons, all alike or each with its own parameters."""

    def tensor(value: float) -> torch.Tensor:
        spread = rng.uniform(0.8, 1.0, SIZE) if draw["per_neuron"] else 1.0
        return torch.tensor(value * spread, dtype=torch.float64)

    mem, syn = tensor(1000 * draw["a"]), tensor(1000 * draw["b"])
    fires: dict[str, Any] = {"v_th": tensor(draw["v_th"]), "v_reset": tensor(draw["v_reset"])}
    leak = {"v_leak": tensor(draw["v_leak"])}
    if draw["kind"] == "LIFBoxCell":
        fires["reset_method"] = reset_subtract if draw["subtracts"] else reset_value
        return snn.LIFBoxCell(snn.LIFBoxParameters(tau_mem_inv=mem, **leak, **fires))
    if draw["kind"] == "IAFCell":
        return snn.IAFCell(snn.IAFParameters(**fires))
    parameters = snn.LIFParameters(tau_mem_inv=mem, tau_syn_inv=syn, **leak, **fires)
    if draw["kind"] == "LIFCell":
        return snn.LIFCell(parameters)
    return snn.LIFRecurrentCell(SIZE, SIZE, parameters)


def chain(cells: list[dict[str, Any]], readout: str | None, seed: int) -> torch.nn.Module:
    """Linear layers and cells in turn, and perhaps one of the integrators at the end."""
    torch.manual_seed(seed % 2**31)
    rng = np.random.default_rng(seed)
    layers: list[torch.nn.Module] = []
    for draw in cells:
        layers += [torch.nn.Linear(SIZE, SIZE), cell(draw, rng)]
    if readout is not None:
        tau = torch.tensor(300.0)
        integrator = (
            snn.LICell(snn.LIParameters(tau_mem_inv=tau))
            if readout == "LICell"
            else snn.LIBoxCell(snn.LIBoxParameters(tau_mem_inv=tau))
        )
        layers += [torch.nn.Linear(SIZE, 3), integrator]
    module = snn.SequentialState(*layers)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2.0)
    return module


def compiled(module: torch.nn.Module, shape: tuple[int, ...], encoder: str) -> Program:
    """Of a module's layers; Norse itself cannot call some: dtypes differ, or each neuron has its own."""
    layers = layers_from_module(module)
    readout: Readout = "count" if LAYER_KINDS[layers[-1].kind].spiking else "v_last"
    kind = sne.Encoder(encoder)  # type: ignore[arg-type]  # one of its kinds
    return compile_student(
        sne.Student("student0", layers, readout),
        input_shape=shape,
        timesteps=STEPS,
        encoder=kind,
        precision="float",
        formats=LOIHI1,
    )


def samples(program: Program, seed: int) -> np.ndarray:
    """Random spikes, or currents or real numbers at every step, multiples of 1/1024."""
    rng = np.random.default_rng(seed)
    if not program.spike_input:
        return rng.integers(0, 1025, (SAMPLES, *program.sample_shape)) / 1024
    return (rng.random((SAMPLES, program.timesteps, *program.input.shape)) < 0.4).astype(np.uint8)
