"""What a sample does depends on nothing but the sample: not on its neighbours, order or streaming."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_lava import LavaBackend
from tests.chip_registers import LOIHI1

pytestmark = pytest.mark.usefixtures("warm_lava")


def recurrent_program(precision="fixed"):
    """Three groups, a loop, a cycle over two groups, delays, an initial state, hard and soft resets."""
    rng = np.random.default_rng(5)
    fixed = precision == "fixed"

    def group(name, size, depth, vsub=None):
        registers = {"du": 700, "dv": 300, "vth_mant": 400, "bias_mant": 3, "v_init": 9000}
        reals = {"du": 0.2, "dv": 0.1, "vth_mant": 1.5, "bias_mant": 0.01, "v_init": 0.5}
        values = {
            key: np.asarray(value, np.int32 if fixed else np.float64)
            for key, value in (registers if fixed else reals).items()
        }
        return NeuronGroup(
            name, "cuba_lif", (size,), bias_exp=0, depth=depth, scale=1.0, v_reset=np.zeros(()),
            vsub_mant=None if vsub is None else np.asarray(vsub), **values,
        )  # fmt: skip

    def synapse(name, source, target, shape, **options):
        values = rng.integers(-40, 60, shape)
        weights = DenseWeights((values * 2).astype(np.int32) if fixed else values / 64)
        return Synapse(name, source, target, weights, **options)

    return Program(
        name="recurrent",
        precision=precision,
        timesteps=5,
        input=ProgramInput("input", (6,), "spikes"),
        groups=(group("a", 8, 1), group("b", 7, 4, vsub=250 if fixed else 0.7), group("c", 3, 5)),
        synapses=(
            synapse("in", "input", "a", (8, 6)),
            synapse("ab", "a", "b", (7, 8), delay=2, within_sample=True),
            synapse("bc", "b", "c", (3, 7)),
            synapse("aa", "a", "a", (8, 8), within_sample=True),
            synapse("ba", "b", "a", (8, 7), within_sample=True),
            synapse("bb", "b", "b", (7, 7), within_sample=True, delay=1),
            synapse("ic", "input", "c", (3, 6), within_sample=True, delay=6),
        ),
        outputs=("c",),
        readout="count",
        hosts=(),
        graph=None,
        dt_s=1e-3,
        formats=LOIHI1 if fixed else None,
    )


def run(program, inputs, **options):
    with LavaBackend().compile(program, RunOptions(**options)) as compiled:
        return compiled.run(inputs, record="all")


def assert_same(one, other, order=slice(None)):
    np.testing.assert_array_equal(one.raw_outputs[order], other.raw_outputs)
    np.testing.assert_array_equal(one.input_spikes[order], other.input_spikes)
    for a, b in zip(one.layers, other.layers, strict=True):
        for name in ("synops", "spikes", "updates_active", "updates_idle", "recorded_u", "recorded_v"):
            np.testing.assert_array_equal(
                getattr(a, name)[order], getattr(b, name), err_msg=f"{a.name} {name}"
            )
        np.testing.assert_array_equal(a.recorded_spikes[order], b.recorded_spikes)


@pytest.mark.parametrize("precision", ["fixed", "float"])
def test_streamed_equals_one_by_one_equals_permuted(precision):
    program = recurrent_program(precision)
    rng = np.random.default_rng(1)
    inputs = (rng.random((7, 5, 6)) < 0.4).astype(np.uint8)
    streamed = run(program, inputs)
    assert streamed.layers[2].spikes.sum() > 0
    assert_same(streamed, run(program, inputs, stream=1))
    assert_same(streamed, run(program, inputs, stream=3))
    order = rng.permutation(7)
    assert_same(streamed, run(program, inputs[order]), order)


def test_busy_neighbours_change_nothing():
    """The last spikes of a busy sample are on their way when the next begins; a silent one stays silent."""
    program = recurrent_program()
    silent = replace(
        program,
        groups=tuple(
            replace(g, bias_mant=np.zeros((), np.int32), v_init=np.zeros((), np.int32))
            for g in program.groups
        ),
    )
    inputs = np.ones((3, 5, 6), np.uint8)
    inputs[1] = 0
    trace = run(silent, inputs)
    for layer in trace.layers:
        assert layer.spikes[1] == layer.synops[1] == layer.updates_active[1] == 0
        assert layer.spikes[0] == layer.spikes[2] > 0


def test_several_students_at_once():
    programs = [replace(recurrent_program(), name=f"s{k}") for k in range(3)]
    rng = np.random.default_rng(2)
    inputs = (rng.random((4, 5, 6)) < 0.4).astype(np.uint8)
    alone = run(programs[0], inputs)
    with LavaBackend().compile(programs[0], RunOptions()) as compiled, ThreadPoolExecutor(3) as pool:
        for trace in pool.map(lambda _: compiled.run(inputs, record="all"), programs):
            assert_same(alone, trace)


def test_progress_rises_to_the_total():
    seen = []
    run(
        recurrent_program(),
        np.ones((4, 5, 6)),
        stream=2,
        progress=lambda student, done, total: seen.append((student, done, total)),
    )
    steps = [done for _, done, _ in seen]
    assert {(student, total) for student, _, total in seen} == {("recurrent", 2 * (2 * 5 + 5))}
    assert steps == sorted(steps)
    assert steps[-1] == 30
