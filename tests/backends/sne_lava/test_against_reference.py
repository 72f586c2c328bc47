"""The backend against the brute-force simulator: spikes, SynOps, updates, u, v and outputs exactly equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.backend import RunOptions
from sne_deploy.ir.program import ALWAYS_ON, HostAffine, NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_lava import LavaBackend
from tests.chip_registers import LOIHI1
from tests.reference import assert_equal, simulate
from tests.strategies import inputs_for, programs

pytestmark = pytest.mark.usefixtures("warm_lava")

LAVA = settings(
    max_examples=12,  # each starts Lava: about a second
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # shrinking would start Lava hundreds of times
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def run(program, inputs, **options):
    with LavaBackend().compile(program, RunOptions(**options)) as compiled:
        return compiled.run(inputs, record="all")


@pytest.mark.parametrize("precision", ["fixed", "float"])
@LAVA
@given(data=st.data())
def test_random_programs(precision, data):
    program = data.draw(programs(precision))
    inputs = data.draw(inputs_for(program))
    assert_equal(run(program, inputs), simulate(program, inputs), program)


def neurons(name, size, depth, kind="lif", **registers):
    values = {"du": 4095, "dv": 0, "vth_mant": 10, "bias_mant": 0, "v_init": 0} | registers
    arrays = {key: np.asarray(value, dtype=np.int32) for key, value in values.items()}
    return NeuronGroup(
        name, kind, (size,), bias_exp=0, depth=depth, scale=64.0, v_reset=np.zeros(()), **arrays
    )


def dense(rows):
    return DenseWeights(np.asarray(rows, dtype=np.int32))


def program_of(groups, synapses, *, timesteps=4, size=2, readout="count", hosts=(), outputs=None):
    entry = ProgramInput("input", (size,), "current" if hosts else "spikes")
    outputs = (groups[-1].name,) if outputs is None else outputs
    return Program(
        "hand",
        "fixed",
        timesteps,
        entry,
        tuple(groups),
        tuple(synapses),
        outputs,
        readout,
        hosts,
        None,
        1e-3,
        formats=LOIHI1,
    )


def test_counts_by_hand():
    """Two inputs, three existing synapses: 12 and 8 into neuron 0, 20 into neuron 1; threshold 10 << 6."""
    program = program_of([neurons("a", 2, 1)], [Synapse("s", "input", "a", dense([[12, 8], [0, 20]]))])
    spikes = np.array([[[1, 0], [0, 1], [0, 0], [1, 1]], [[0, 0], [0, 1], [0, 0], [0, 0]]])
    trace = run(program, spikes)
    layer = trace.layers[0]
    # Neuron 0 of sample 0: 12 spikes; 8 stays; still 8; 8 + 20 spikes. Neuron 1: 20 spikes twice.
    np.testing.assert_array_equal(trace.raw_outputs, [[2, 2], [0, 1]])
    np.testing.assert_array_equal(trace.outputs, [[2.0, 2.0], [0.0, 1.0]])
    np.testing.assert_array_equal(layer.synops, [1 + 2 + 1 + 2, 2])
    np.testing.assert_array_equal(layer.spikes, [4, 1])
    np.testing.assert_array_equal(trace.synops, layer.synops)
    np.testing.assert_array_equal(trace.input_spikes, [4, 1])
    # Active: sample 0, neuron 0 at every step (input, input, v, input), neuron 1 at two; du = 4095 empties u.
    # A spike leaves v = 0 but u != 0, so the update after it is active too.
    u, v = layer.recorded_u, layer.recorded_v
    before = np.concatenate([np.zeros((2, 1, 2)), ((u != 0) | (v != 0))[:, :-1]], axis=1)
    received = np.stack([spikes[..., 0] | spikes[..., 1], spikes[..., 1]], axis=-1)
    active = ((before != 0) | (received != 0)).sum(axis=(1, 2))
    np.testing.assert_array_equal(layer.updates_active, active)
    np.testing.assert_array_equal(layer.updates_idle, 8 - active)


def test_gate_drops_what_would_arrive_in_the_next_sample():
    """A neuron that excites itself: its last spike of a sample is neither delivered nor counted."""
    loop = Synapse("loop", "a", "a", dense([[20]]), within_sample=True)
    program = program_of([neurons("a", 1, 1)], [Synapse("s", "input", "a", dense([[20]])), loop], size=1)
    spikes = np.zeros((3, 4, 1), np.uint8)
    spikes[0, 2] = 1  # then it spikes at steps 2 and 3 of sample 0; the loop of step 3 would enter sample 1
    trace = run(program, spikes)
    np.testing.assert_array_equal(trace.raw_outputs, [[2], [0], [0]])
    np.testing.assert_array_equal(trace.layers[0].synops, [2, 0, 0])


def test_gate_drops_what_is_delayed_beyond_the_sample():
    """From the input and from a group, delayed by two steps within the sample, into a readout."""
    groups = [neurons("a", 1, 1), neurons("r", 1, 2, kind="li")]
    synapses = [
        Synapse("s", "input", "a", dense([[20]])),
        Synapse("late", "input", "r", dense([[2]]), delay=3, within_sample=True),  # t -> t + 2
        Synapse("later", "a", "r", dense([[20]]), delay=2, within_sample=True),
    ]
    program = program_of(groups, synapses, size=1, readout="v_last")
    spikes = np.zeros((3, 4, 1), np.uint8)
    spikes[0, 1] = 1  # arrives at step 3, the last; what is sent at steps 2 and 3 would be the next sample's
    spikes[0, 3] = 1
    spikes[1, 2] = 1
    trace = run(program, spikes)
    np.testing.assert_array_equal(trace.raw_outputs, [[22 << 6], [0], [0]])
    np.testing.assert_array_equal(trace.layers[1].synops, [2, 0, 0])
    np.testing.assert_array_equal(trace.layers[0].spikes, [2, 1, 0])


def test_soft_reset_keeps_what_is_above():
    """Threshold 10, subtracts 7 from one neuron and more than v from the other: what is left stays."""
    group = replace(neurons("a", 2, 1), vsub_mant=np.array([7, 30], np.int32))
    program = program_of([group], [Synapse("s", "input", "a", dense([[24], [24]]))], size=1, timesteps=5)
    spikes = np.array([[[1], [0], [0], [1], [0]], [[0], [1], [0], [0], [0]]], np.uint8)
    trace = run(program, spikes)
    v = trace.layers[0].recorded_v >> 6
    np.testing.assert_array_equal(v[..., 0], [[17, 10, 10, 27, 20], [0, 17, 10, 10, 10]])
    np.testing.assert_array_equal(v[..., 1], [[-6, -6, -6, -12, -12], [0, -6, -6, -6, -6]])
    np.testing.assert_array_equal(trace.raw_outputs, [[4, 2], [2, 1]])


def test_outputs_are_read_in_their_order_each_in_its_way():
    """A spiking output that feeds another, listed last; v_mean is divided in the student's units alone."""
    groups = [neurons("a", 2, 1), neurons("r", 1, 2, kind="li")]
    synapses = [
        Synapse("s", "input", "a", dense([[20, 0], [0, 20]])),
        Synapse("ar", "a", "r", dense([[2, 4]])),
    ]
    program = program_of(groups, synapses, readout="v_mean", outputs=("r", "a"))
    trace = run(program, np.array([[[1, 0], [1, 1], [0, 0], [0, 1]]]))
    # v of r: 2, 8, 8, 12; the spikes of a: 2 and 2.
    np.testing.assert_array_equal(trace.raw_outputs, [[30 << 6, 2, 2]])
    np.testing.assert_array_equal(trace.outputs, [[30 / 4, 2.0, 2.0]])


@pytest.mark.parametrize("readout", ["v_last", "v_mean", "v_max"])
def test_readouts_of_a_membrane(readout):
    """A leaky membrane that falls from v_init and is pushed below zero; the sum for v_mean is exact."""
    group = neurons("a", 1, 1, kind="li", dv=2048, v_init=-(2**20))
    program = program_of([group], [Synapse("s", "input", "a", dense([[-6, 4]]), 7)], readout=readout)
    spikes = np.array([[[0, 1], [1, 1], [0, 0], [1, 0]]])
    trace = run(program, spikes)
    v = trace.layers[0].recorded_v.reshape(4).tolist()
    expected = {"v_last": v[-1], "v_mean": sum(v), "v_max": max(v)}[readout]
    assert v[0] == -(2**19) + (4 << 13)
    assert trace.raw_outputs.dtype == np.int64
    assert trace.raw_outputs.tolist() == [[expected]]
    scaled = expected / 4 if readout == "v_mean" else expected
    assert trace.outputs.tolist() == [[scaled / 64.0]]
    assert trace.layers[0].recorded_spikes is None
    assert trace.layers[0].spikes.tolist() == [0]


def test_host_currents_are_clipped_and_counted():
    matrix = sparse.csr_matrix(np.array([[1.0, 0.0], [100.0, 2.0]]))
    host = HostAffine(
        "a",
        matrix,
        np.array([0.5, 0.0]),
        register_scale=100.0,
        register_limit=LOIHI1.bias_mant_max,
        per_step_messages=True,
    )
    program = program_of([neurons("a", 2, 0, kind="cuba_lif", vth_mant=131071)], [], hosts=(host,))
    trace = run(program, np.array([[1.0, 0.5], [0.0, 0.0]]))
    assert trace.saturated_inputs == 1
    np.testing.assert_array_equal(trace.layers[0].recorded_v[:, 0], [[150 << 6, 4095 << 6], [50 << 6, 0]])
    np.testing.assert_array_equal(trace.host_macs, [3, 3])
    np.testing.assert_array_equal(trace.input_spikes, [8, 8])
    np.testing.assert_array_equal(trace.synops, [0, 0])


def host_of(target, matrix, **options):
    rows = np.asarray(matrix, float)
    return HostAffine(
        target,
        sparse.csr_matrix(rows),
        np.zeros(len(rows)),
        register_scale=1.0,
        register_limit=LOIHI1.bias_mant_max,
        **options,
    )


def test_host_currents_arrive_at_each_groups_own_steps():
    """The same current into depths 0 and 3; streamed samples differ, so a shift would show."""
    groups = [neurons("a", 1, 0), neurons("b", 1, 3, kind="li")]
    hosts = (host_of("b", [[3.0]], per_step_messages=True), host_of("a", [[1.0]]))
    program = program_of(
        groups, [Synapse("ab", "a", "b", dense([[100]]), delay=2)], size=1, hosts=hosts, readout="v_last"
    )
    trace = run(program, np.array([[2.0], [5.0], [0.0], [3.0]]))
    np.testing.assert_array_equal(trace.layers[0].recorded_v[1, :, 0], [5 << 6, 10 << 6, 0, 5 << 6])
    np.testing.assert_array_equal(
        trace.layers[1].recorded_v[:, :, 0] >> 6,
        [[6, 12, 18, 24], [15, 30, 145, 160], [0, 0, 0, 0], [9, 18, 27, 136]],
    )
    np.testing.assert_array_equal(trace.input_spikes, [4, 4, 4, 4])
    np.testing.assert_array_equal(trace.host_macs, [2, 2, 2, 2])


@pytest.mark.parametrize("stream", [None, 1])
def test_parts_that_share_nothing_run_together(stream):
    """Two outputs on the same currents, and a third on nothing but its bias."""
    groups = [neurons("a", 2, 0), neurons("b", 3, 2, kind="li"), neurons("c", 1, 1, bias_mant=7, vth_mant=0)]
    hosts = (host_of("a", [[6.0, 0.0], [0.0, 8.0]]), host_of("b", [[1.0, 1.0], [2.0, 0.0], [0.0, 3.0]]))
    program = program_of(groups, [], hosts=hosts, readout="v_max", outputs=("b", "c", "a"))
    inputs = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
    seen = []
    trace = run(program, inputs, stream=stream, progress=lambda _, done, total: seen.append((done, total)))
    assert_equal(trace, simulate(program, inputs), program)
    assert trace.layers[0].spikes.tolist() == [2 + 4, 2, 4]
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_always_on_axon_is_counted_once_a_step():
    bias = Synapse("bias", ALWAYS_ON, "a", dense([[6], [0]]))
    program = program_of([neurons("a", 2, 1)], [Synapse("s", "input", "a", dense([[2, 0], [0, 2]])), bias])
    trace = run(program, np.zeros((2, 4, 2)))
    np.testing.assert_array_equal(trace.input_spikes, [4, 4])
    np.testing.assert_array_equal(trace.layers[0].synops, [4, 4])
    np.testing.assert_array_equal(trace.raw_outputs, [[2, 0], [2, 0]])


def test_saturation_above_the_largest_threshold():
    """v saturates above 131071 << 6, so a neuron at the largest threshold can still spike."""
    group = neurons("a", 1, 1, du=0, vth_mant=131071)
    program = program_of([group], [Synapse("s", "input", "a", dense([[254, 254]]), 7)], timesteps=6)
    inputs = np.ones((1, 6, 2))
    trace = run(program, inputs)
    assert_equal(trace, simulate(program, inputs), program)
    assert trace.layers[0].spikes[0] > 0


def test_record_levels():
    program = program_of([neurons("a", 2, 1)], [Synapse("s", "input", "a", dense([[12, 8], [0, 20]]))])
    inputs = np.ones((2, 4, 2))
    with LavaBackend().compile(program, RunOptions()) as compiled:
        counts, spikes = compiled.run(inputs), compiled.run(inputs, record="spikes")
    assert counts.layers[0].recorded_spikes is None
    assert counts.layers[0].recorded_v is None
    assert spikes.layers[0].recorded_v is None
    assert spikes.layers[0].recorded_spikes.dtype == bool
    np.testing.assert_array_equal(spikes.layers[0].recorded_spikes.sum(axis=(1, 2)), counts.layers[0].spikes)


def test_program_is_not_changed():
    program = program_of([neurons("a", 2, 1)], [Synapse("s", "input", "a", dense([[12, 8], [0, 20]]))])
    before = replace(program)
    run(program, np.ones((1, 4, 2)))
    assert program.synapses[0].weights.array.tolist() == before.synapses[0].weights.array.tolist()
