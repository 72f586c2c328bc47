"""The three graphs of the NIR paper (Nature Communications 2024) on every target.

The single neuron's traces as Norse, Lava and a Loihi chip recorded them; the convolutional and the recurrent
network on made-up events, floating against fixed point.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sne_deploy as sne
from benchmarks.event_data import bursts, classes, saccades
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.ir.program import Precision, Program
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.passes.pipeline import compile_student
from sne_deploy.runtime.trace import LayerTrace
from tests.chip_registers import LOIHI1
from tests.shared_data import shared

pytestmark = pytest.mark.usefixtures("warm_lava")

STEPS = 1000
LIF_DT_S = BRAILLE_DT_S = 1e-4
FIXED_TARGETS = ("lava", "loihi")


def recorded(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input spikes, potential, output spikes of 1000 steps."""
    columns = np.loadtxt(shared("models", "nir", f"lif_{name}.csv"), delimiter=",").T
    return columns[0].astype(np.uint8), columns[1], columns[2].astype(bool)


def lif_program(precision: Precision) -> Program:
    ensemble = sne.load(shared("models", "nir", "lif_norse.nir"), timesteps=STEPS, dt_s=LIF_DT_S)
    return compile_student(
        ensemble.students[0],
        input_shape=(1,),
        timesteps=STEPS,
        encoder=ensemble.encoder,
        precision=precision,
        formats=LOIHI1,
    )


def run(program: Program, target: str, spikes: np.ndarray) -> LayerTrace:
    with load_backend(target).compile(program, RunOptions()) as executable:
        return executable.run(spikes.reshape(1, STEPS, 1), record="all").layers[0]


def test_the_single_neuron_gives_norses_recorded_potential_in_floating_point() -> None:
    spikes, potential, fired = recorded("norse")
    program = lif_program("float")
    layer = run(program, "lava", spikes)
    assert layer.recorded_v is not None
    assert layer.recorded_spikes is not None
    np.testing.assert_array_equal(layer.recorded_spikes[0, :, 0], fired)
    np.testing.assert_allclose(layer.recorded_v[0, :, 0], potential, atol=3e-8)  # theirs is float32
    again = run(program, "norse", spikes)
    assert again.recorded_spikes is not None
    np.testing.assert_array_equal(again.recorded_spikes[0, :, 0], fired)


@pytest.mark.parametrize("target", FIXED_TARGETS)
def test_the_single_neuron_fires_as_recorded_in_fixed_point(target: str) -> None:
    """Its decay, 163.84 of 4096, becomes 164: beside that, v is that of floating point."""
    spikes, potential, fired = recorded("norse")
    program, real = lif_program("fixed"), lif_program("float")
    group = program.groups[0]
    layer = run(program, target, spikes)
    on_grid = replace(real, groups=(replace(real.groups[0], dv=group.dv / 4096),))
    wanted = run(on_grid, "lava", spikes)
    assert layer.recorded_v is not None
    assert layer.recorded_spikes is not None
    assert wanted.recorded_v is not None
    np.testing.assert_array_equal(layer.recorded_spikes[0, :, 0], fired)
    v = layer.recorded_v[0, :, 0] / group.scale
    np.testing.assert_allclose(v, wanted.recorded_v[0, :, 0], atol=1e-5)
    np.testing.assert_allclose(v, potential, atol=1e-4)


def paper_registers() -> Program:
    """The single neuron with the registers of the recordings: weight 10, dv 163, threshold 25."""
    made = lif_program("fixed")
    group = replace(made.groups[0], dv=np.asarray(163), du=np.asarray(4095), vth_mant=np.asarray(25))
    weights = DenseWeights(np.array([[10]], dtype=np.int32))
    synapse = replace(made.synapses[0], weights=weights, weight_exp=0, sign_mode="excitatory")
    return replace(made, groups=(group,), synapses=(synapse,))


@pytest.mark.parametrize("target", FIXED_TARGETS)
@pytest.mark.parametrize("recording", ["lava_cpu_fixed", "lava_loihi_fixed"])
def test_the_chips_registers_give_the_trace_that_the_chip_recorded(target: str, recording: str) -> None:
    """Every value of v; the recordings show each step one later."""
    spikes, potential, fired = recorded(recording)
    layer = run(paper_registers(), target, spikes)
    assert layer.recorded_v is not None
    assert layer.recorded_spikes is not None
    v, potential, fired = layer.recorded_v[0, :-1, 0], potential[1:], fired[1:]
    np.testing.assert_array_equal(layer.recorded_spikes[0, :-1, 0], fired)
    # At a spike the chip's register holds its refractory counter, and Lava's 0.
    np.testing.assert_array_equal(potential[fired], 128 if recording == "lava_loihi_fixed" else 0)
    np.testing.assert_array_equal(v[~fired], potential[~fired])


def braille(samples: int, seed: int = 0) -> tuple[Any, np.ndarray]:
    path = shared("models", "nir", "braille_noDelay_bias_zero.nir")
    return sne.load(path, timesteps=256, dt_s=BRAILLE_DT_S), bursts(samples, seed)


def test_the_recurrent_network_decides_as_in_floating_point_with_two_synapses_per_weight() -> None:
    ensemble, x = braille(500)
    with sne.compile(ensemble, "norse") as compiled:
        wanted = classes(compiled.run(x).logits)
    with sne.compile(ensemble, "loihi", weight_bits=16) as compiled:
        result = compiled.run(x, verify=2)
    found = classes(result.logits)
    assert len(set(wanted[wanted >= 0])) >= 5
    assert np.mean((found == wanted) & (wanted >= 0)) >= 0.97
    for layer in result.report.students[0].layers:
        assert layer.spike_agreement is not None
        assert layer.rate is not None
        assert layer.rate_float is not None
        assert layer.spike_agreement > 0.9
        assert abs(layer.rate / layer.rate_float - 1) < 0.01


def test_the_recurrent_network_on_8_bits_keeps_its_rates() -> None:
    ensemble, x = braille(100)
    with sne.compile(ensemble, "loihi") as compiled:
        layers = compiled.run(x, verify=2).report.students[0].layers
    for layer in layers:
        assert layer.rate is not None
        assert layer.rate_float is not None
        assert abs(layer.rate / layer.rate_float - 1) < 0.1


def test_the_convolutional_network_runs_on_every_target() -> None:
    path = shared("models", "nir", "cnn_sinabs.nir")
    ensemble, x = sne.load(path, timesteps=60, dt_s=1.0), saccades(10, 0)
    with sne.compile(ensemble, "loihi") as compiled:
        result = compiled.run(x, verify=2)
    assert result.report.verified is not None
    layers = result.report.students[0].layers
    assert layers[0].spike_agreement is not None
    assert layers[0].spike_agreement > 0.75  # without a leak a spike that comes a step late never catches up
    for layer in layers:
        assert layer.rate is not None
        assert layer.rate_float is not None
        assert abs(layer.rate / layer.rate_float - 1) < 0.05
