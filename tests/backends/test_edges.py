"""Registers at their edges: the threshold is strict, u is corrected beyond 2^23 and at -2^23, v saturates.

Sums are chosen so that a state lands on the edge, and one unit beside it, which random networks hardly do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.ir.program import Program
from tests.reference import assert_equal, simulate
from tests.small_programs import one_layer

pytestmark = pytest.mark.usefixtures("warm_lava")

EDGE = [[254, 254, 254, 254, 8]]
"""With exponent 7, a sum of 2^17: shifted left by 6, 2^23."""


def run(target: str, program: Program, inputs: np.ndarray):
    if target == "lava":
        pytest.importorskip("lava", reason="lava-nc is not installed")
    with load_backend(target).compile(program, RunOptions()) as executable:
        return executable.run(inputs, "all")


def with_registers(program: Program, weight_exp: int = 0, **registers: int) -> Program:
    """The program with other registers of its group, and another exponent of its synapse."""
    values = {name: np.asarray(value, np.int32) for name, value in registers.items()}
    group, synapse = replace(program.groups[0], **values), program.synapses[0]
    return replace(program, groups=(group,), synapses=(replace(synapse, weight_exp=weight_exp),))


@pytest.mark.parametrize("target", ["loihi", "lava"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("weight", "fires"), [(98, False), (100, False), (102, True)])
def test_a_membrane_at_the_threshold_does_not_fire(weight: int, fires: bool, soft: bool, target: str) -> None:
    program = one_layer([[weight]], "mixed")  # a threshold of 100; v keeps what it has
    if soft:
        program = with_registers(program, vsub_mant=100)
    inputs = np.zeros((2, 4, 1), np.uint8)
    inputs[:, 0] = 1
    trace = run(target, program, inputs)
    assert_equal(trace, simulate(program, inputs), program)
    assert trace.layers[0].recorded_spikes[0].ravel().tolist() == [fires, False, False, False]


@pytest.mark.parametrize("target", ["loihi", "lava"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("beside", [-2, 0, 2])
def test_a_current_at_its_edge(beside: int, sign: int, target: str) -> None:
    weights = sign * np.asarray(EDGE)
    weights[0, -1] += sign * beside
    program = with_registers(one_layer(weights.tolist(), "mixed"), weight_exp=7, vth_mant=131071)
    inputs = np.ones((1, 4, 5), np.uint8)
    trace = run(target, program, inputs)
    assert_equal(trace, simulate(program, inputs), program)
    edge = sign * (2**23 + beside * 2**13)
    corrected = edge - 2**24 if edge > 2**23 else edge + 2**24 if edge <= -(2**23) else edge
    assert trace.layers[0].recorded_u[0].ravel().tolist() == [corrected] * 4


@pytest.mark.parametrize("target", ["loihi", "lava"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_membrane_saturates(sign: int, target: str) -> None:
    weights = sign * np.asarray(EDGE)
    weights[0, -1] -= sign * 2  # u stays below its edge, and v adds it up
    program = with_registers(one_layer(weights.tolist(), "mixed"), weight_exp=7, vth_mant=131071)
    if sign > 0:
        group = replace(program.groups[0], kind="li", dv=np.asarray(0, np.int32))
        program = replace(program, groups=(group,), readout="v_last")
    inputs = np.ones((1, 4, 5), np.uint8)
    trace = run(target, program, inputs)
    assert_equal(trace, simulate(program, inputs), program)
    assert trace.layers[0].recorded_v[0].ravel().tolist()[1:] == [sign * (2**23 - 1)] * 3


@pytest.mark.parametrize("target", ["loihi", "lava"])
def test_a_delayed_reset_takes_the_step_after_a_spike(target: str) -> None:
    """Threshold 100, weight 60: what enters in the step after a spike is lost to v, and u goes on."""
    program = with_registers(one_layer([[60]], "mixed"), du=2047)  # u keeps half
    program = replace(program, groups=(replace(program.groups[0], reset_delayed=True),), timesteps=7)
    inputs = np.zeros((2, 7, 1), np.uint8)
    inputs[0, [0, 2, 3]] = 1
    trace = run(target, program, inputs)
    assert_equal(trace, simulate(program, inputs), program)
    layer = trace.layers[0]
    assert (layer.recorded_u[0].ravel() / 64).tolist() == [60, 30, 75, 97.5, 48.75, 24.375, 12.1875]
    assert (layer.recorded_v[0].ravel() / 64).tolist() == [60, 90, 165, 0, 48.75, 73.125, 85.3125]
    assert layer.recorded_spikes[0].ravel().tolist() == [False, False, True, False, False, False, False]
    assert layer.updates_active.tolist() == [7, 0]
