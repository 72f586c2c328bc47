"""Every form of computation against a walk through every synapse: counts, spikes, u, v, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.backend import RunOptions
from sne_deploy.errors import DataError, TargetError, UnsupportedError
from sne_deploy.ir.program import Program
from sne_loihi import LoihiBackend
from sne_loihi.cost import METHODS
from sne_loihi.executable import LoihiExecutable
from tests.effort import examples
from tests.reference import assert_equal, simulate
from tests.small_programs import one_layer
from tests.strategies import inputs_for, programs


def run(program: Program, inputs: np.ndarray, record: str = "all", **extra: object):
    """Through the backend, with its own options."""
    return LoihiBackend().compile(program, RunOptions(extra=extra)).run(inputs, record)


@settings(max_examples=examples(150), deadline=None)
@given(data=st.data())
def test_registers_of_random_programs(data: st.DataObject) -> None:
    program = data.draw(programs("fixed"))
    inputs = data.draw(inputs_for(program))
    assert_equal(run(program, inputs), simulate(program, inputs), program)


def assert_forced(executable: LoihiExecutable, method: str) -> None:
    """Every synapse that has this method was computed by it and by nothing else."""
    forms = {"matrix": "product", "patches": "patches", "convolution": "convolution"}
    plan = executable._plan
    for block in plan.blocks:
        for operator in (operator for name in block for operator in plan.operators[name]):
            within = plan.is_cycle(block) and operator.synapse.source in block  # it has events alone
            if not within and (method == "events" or getattr(operator, forms[method]) is not None):
                ways = {way for name, way in executable.ways.taken if name == operator.synapse.name}
                assert ways == {method}


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=examples(120), deadline=None)
@given(data=st.data())
def test_every_method_counts_and_spikes_alike(method: str, data: st.DataObject) -> None:
    program = data.draw(programs("fixed"))
    inputs = data.draw(inputs_for(program))
    expected = simulate(program, inputs)
    chunk_bytes = data.draw(st.sampled_from([1, 3000, 2**26]))
    executable = LoihiExecutable(program, RunOptions(extra={"method": method, "memory_bytes": chunk_bytes}))
    trace = executable.run(inputs, "spikes")
    assert_forced(executable, method)
    assert trace.raw_outputs.tolist() == expected.raw_outputs
    assert trace.input_spikes.tolist() == expected.input_spikes
    for group, layer in zip(program.groups, trace.layers, strict=True):
        wanted = expected.layers[group.name]
        assert layer.synops.tolist() == wanted.synops
        assert layer.spikes.tolist() == wanted.spikes
        assert layer.updates_active.tolist() == wanted.active
        assert layer.updates_idle.tolist() == wanted.idle
        if group.spiking:
            raster = np.asarray(wanted.raster).reshape(layer.recorded_spikes.shape)
            np.testing.assert_array_equal(layer.recorded_spikes, raster)


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=examples(100), deadline=None)
@given(data=st.data())
def test_pytorch_devices_compute_the_same(device: str, data: st.DataObject) -> None:
    program = data.draw(programs("fixed"))
    inputs = data.draw(inputs_for(program))
    expected = simulate(program, inputs)
    assert_equal(run(program, inputs, device=device), expected, program)
    counted = run(program, inputs, "counts", device=device, memory_bytes=3000)
    assert counted.raw_outputs.tolist() == expected.raw_outputs
    assert counted.synops.tolist() == [
        sum(counts) for counts in zip(*(layer.synops for layer in expected.layers.values()), strict=True)
    ]


def test_a_device_that_is_not_there_is_refused() -> None:
    options = RunOptions(extra={"device": "cuda:99"})
    with pytest.raises(TargetError, match=r"device 'cuda:99' cannot be used: .*; leave --device out"):
        LoihiBackend().compile(tiny(), options)


@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_order_and_batching_change_nothing(data: st.DataObject) -> None:
    program = data.draw(programs("fixed"))
    inputs = data.draw(inputs_for(program, samples=5))
    order = np.asarray(data.draw(st.permutations(range(5))))
    whole, shuffled = run(program, inputs, "counts"), run(program, inputs[order], "counts", memory_bytes=1)
    np.testing.assert_array_equal(whole.raw_outputs[order], shuffled.raw_outputs)
    np.testing.assert_array_equal(whole.synops[order], shuffled.synops)


def tiny() -> Program:
    """Two neurons, two inputs, four steps."""
    return one_layer([[200, -50], [0, 120]], "mixed")


def test_a_floating_point_program_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"precision 'float'.*--precision fixed"):
        LoihiBackend().compile(replace(tiny(), precision="float"), RunOptions())


def test_samples_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"samples have shape \(99,\), the model takes \(4, 2\)"):
        run(tiny(), np.zeros((2, 99)))


def test_chunks_follow_the_memory_budget() -> None:
    small = LoihiExecutable(tiny(), RunOptions(extra={"memory_bytes": 1}))
    large = LoihiExecutable(tiny(), RunOptions(extra={"memory_bytes": 2**24}))
    streamed = LoihiExecutable(tiny(), RunOptions(stream=3))
    assert small.chunk == 1
    assert large.chunk > 100
    assert streamed.chunk == 3


def test_no_samples_give_an_empty_trace() -> None:
    trace = run(tiny(), np.zeros((0, 4, 2), np.uint8), "counts")
    assert trace.raw_outputs.shape == (0, 2)


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[str, int, int]] = []
    options = RunOptions(progress=lambda *call: seen.append(call), extra={"memory_bytes": 1})
    LoihiExecutable(tiny(), options).run(np.zeros((3, 4, 2), np.uint8))
    assert seen == [("tiny", n, 3) for n in (1, 2, 3)]


def test_the_program_is_not_changed() -> None:
    program = tiny()
    before = np.array(program.synapses[0].weights.values)
    run(program, np.ones((2, 4, 2), np.uint8))
    np.testing.assert_array_equal(before, program.synapses[0].weights.values)
