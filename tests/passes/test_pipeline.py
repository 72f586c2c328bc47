"""The compiled Program is the trained network: Norse in float64 against a walk through every synapse."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.graph_models import ensemble_of_graphs
from sne_deploy.frontend.models import ensemble_of_modules
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.ir.program import ALWAYS_ON, Program
from sne_deploy.ir.weights import ConvWeights
from sne_deploy.model.ensemble import Encoder, Student
from sne_deploy.passes.pipeline import compile_student, read_bits
from sne_norse import NorseBackend
from tests.chip_registers import LOIHI1
from tests.networks import INPUT_SHAPE, NETWORKS, network
from tests.reference import simulate

TIMESTEPS = 9


def compiled(name: str, encoder: str, precision: str = "float", seed: int = 0) -> Program:
    """One of the test networks as a Program."""
    ensemble = ensemble_of_modules(
        [network(name, seed)], input_shape=INPUT_SHAPE, timesteps=TIMESTEPS, encoder=Encoder(encoder)
    )
    return compile_student(
        ensemble.students[0],
        input_shape=INPUT_SHAPE,
        timesteps=TIMESTEPS,
        encoder=ensemble.encoder,
        precision=precision,
        formats=LOIHI1,
    )


def samples(encoder: str, count: int = 3, seed: int = 0) -> np.ndarray:
    """Input of either kind."""
    rng = np.random.default_rng(seed)
    if encoder == "constant":
        return rng.random((count, *INPUT_SHAPE))
    return (rng.random((count, TIMESTEPS, *INPUT_SHAPE)) < 0.4).astype(np.uint8)


@pytest.mark.parametrize("encoder", ["constant", "spikes"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_float_program_is_norse(name: str, encoder: str, seed: int) -> None:
    program = compiled(name, encoder, seed=seed)
    inputs = samples(encoder, seed=seed)
    reference = simulate(program, inputs)
    trace = NorseBackend().compile(program, RunOptions()).run(inputs, "spikes")
    total = 0
    for layer in trace.layers:
        expected = reference.layers[layer.name]
        assert layer.synops.tolist() == expected.synops
        assert layer.spikes.tolist() == expected.spikes
        total += sum(expected.spikes)
        if layer.recorded_spikes is not None:
            raster = np.asarray(expected.raster)
            np.testing.assert_array_equal(layer.recorded_spikes.reshape(raster.shape), raster)
    assert total > 20, "a silent network tests nothing"
    assert trace.input_spikes.tolist() == reference.input_spikes
    outputs = program.readout_in_units(np.asarray(reference.raw_outputs, dtype=np.float64))
    np.testing.assert_allclose(trace.outputs, outputs, rtol=1e-6, atol=1e-9)


def test_what_becomes_of_each_layer() -> None:
    program = compiled("convolutional", "constant")
    assert [group.kind for group in program.groups] == ["lif", "cuba_lif", "li"]
    (host,) = program.hosts
    assert host.target == program.groups[0].name
    into_second = program.synapses_into(program.groups[1].name)
    assert {synapse.source for synapse in into_second} == {program.groups[0].name, ALWAYS_ON}
    pooled = next(synapse for synapse in into_second if synapse.source != ALWAYS_ON)
    assert isinstance(pooled.weights, ConvWeights)
    assert pooled.weights.kernel.shape[2:] == (6, 6), "the pool is composed into the convolution"
    assert [group.depth for group in program.groups] == [0, 1, 2]


def test_recurrent_synapses_are_marked() -> None:
    program = compiled("recurrent", "spikes")
    marked = [(synapse.source, synapse.target) for synapse in program.synapses if synapse.within_sample]
    assert marked == [(program.groups[0].name, program.groups[0].name)]


@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_point_stays_close(name: str) -> None:
    real, fixed = compiled(name, "constant"), compiled(name, "constant", "fixed")
    inputs = samples("constant", 6)
    a, b = simulate(real, inputs), simulate(fixed, inputs)
    for group in real.groups:
        if group.spiking:
            left = np.asarray(a.layers[group.name].raster)
            right = np.asarray(b.layers[group.name].raster)
            agreement = np.sum(left & right) / max(np.sum(left | right), 1)
            assert agreement > 0.8, group.name


def test_a_layer_without_neurons_at_the_end_is_refused() -> None:
    full = [np.full(4, value) for value in (0.01, 1.0, 0.0, 1.0, 0.0)]
    nodes = (nir.Linear(np.ones((4, 36))), nir.LIF(*full), nir.Linear(np.ones((2, 4))))
    options = ReadOptions(timesteps=4, dt_s=0.001)
    ensemble = ensemble_of_graphs([nir.NIRGraph.from_list(*nodes)], ["net"], options)
    with pytest.raises(GraphError, match="output must be a neuron group"):
        compile_student(
            ensemble.students[0],
            input_shape=ensemble.input_shape,
            timesteps=4,
            encoder=ensemble.encoder,
            precision="fixed",
            formats=LOIHI1,
        )


def test_a_readout_that_does_not_fit_the_last_group_is_refused() -> None:
    ensemble = ensemble_of_modules([network("dense")], input_shape=INPUT_SHAPE, timesteps=4)
    student = replace(ensemble.students[0], readout="count")
    with pytest.raises(UnsupportedError, match=r"readout 'count'.*cuba_li.*v_last"):
        compile_student(
            student,
            input_shape=INPUT_SHAPE,
            timesteps=4,
            encoder=ensemble.encoder,
            precision="float",
            formats=LOIHI1,
        )


@pytest.mark.parametrize("made_with", [2, 3, 8])
@pytest.mark.parametrize("asked", [None, 2, 3, 7, 8, 16])
def test_registers_that_were_read_are_not_rounded_again(made_with: int, asked: int | None) -> None:
    """Refused where they have more bits than was asked for, or one synapse per weight; else as they are."""
    ensemble = ensemble_of_modules(
        [network("recurrent", 0)], input_shape=INPUT_SHAPE, timesteps=TIMESTEPS, encoder=Encoder("spikes")
    )

    def compile_with(student: Student, bits: int | None) -> Program:
        return compile_student(
            student,
            input_shape=INPUT_SHAPE,
            timesteps=TIMESTEPS,
            encoder=ensemble.encoder,
            precision="fixed",
            formats=LOIHI1.narrowed(bits),
        )

    made = compile_with(ensemble.students[0], made_with)
    assert read_bits(made, LOIHI1) == made_with
    name = ensemble.students[0].name
    read = replace(ensemble.students[0], network=replace(made, formats=LOIHI1))
    if asked is not None and (asked == 16 or asked < made_with):
        wrong = f"student {name!r}: its weights were read as integers of {made_with} bits: not the {asked} "
        with pytest.raises(UnsupportedError, match=wrong + ".*; leave --weight-bits"):
            compile_with(read, asked)
    else:
        again = compile_with(read, asked)
        for one, other in zip(made.synapses, again.synapses, strict=True):
            np.testing.assert_array_equal(one.weights.values, other.weights.values)
