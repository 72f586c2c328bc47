"""The graph executor against the compiled floating-point Program, walked through synapse by synapse.

The two order their arithmetic differently, so thresholds are moved off the multiples that membranes take:
where a membrane met its threshold, rounding would decide.
"""

from __future__ import annotations

import re
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import assume, event, given, reject, settings
from hypothesis import strategies as st

from sne_deploy.backend import RunOptions
from sne_deploy.errors import InputError, UnsupportedError
from sne_deploy.frontend.nir.resets import with_resets
from sne_deploy.frontend.nir.shapes import joined_input_shape
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import Encoder, Readout, Student
from sne_deploy.passes.pipeline import compile_student
from sne_norse import NorseBackend
from tests.backends.sne_norse.float_programs import samples
from tests.backends.sne_norse.made_graphs import GRAPHS
from tests.chip_registers import LOIHI1
from tests.effort import examples
from tests.graphs import random_graphs
from tests.networks import INPUT_SHAPE, network
from tests.reference import simulate

READOUTS: tuple[Readout, ...] = ("v_last", "v_mean", "v_max")


def off_the_grid(graph: Any, seed: int) -> Any:
    """The same graph with thresholds that no sum of its weights meets."""
    rng = np.random.default_rng(seed)
    nodes = dict(graph.nodes)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            nodes[name] = off_the_grid(node, seed)
            continue
        field = next((f for f in ("v_threshold", "threshold") if hasattr(node, f)), None)
        if field is not None:
            value = np.asarray(getattr(node, field), dtype=np.float64)
            kept = {f: v for f, v in vars(node).items() if f not in ("input_type", "output_type")}
            nodes[name] = type(node)(**{**kept, field: value + rng.uniform(1e-4, 1e-3, value.shape)})
    return nir.NIRGraph(nodes, list(graph.edges), metadata=dict(graph.metadata), type_check=False)


def compiled(graph: Any, timesteps: int, encoder: str, readout: Readout) -> Program:
    """The Program; its outputs are counted where none of them integrates."""
    try:
        return _compiled(graph, timesteps, encoder, readout)
    except InputError as error:
        if not str(error).endswith("use count"):
            raise
        return _compiled(graph, timesteps, encoder, "count")


def _compiled(graph: Any, timesteps: int, encoder: str, readout: Readout) -> Program:
    return compile_student(
        Student("random", graph, readout),
        input_shape=joined_input_shape(graph),
        timesteps=timesteps,
        encoder=Encoder(encoder),  # type: ignore[arg-type]  # one of its kinds
        precision="float",
        formats=LOIHI1,
    )


def check(program: Program, inputs: np.ndarray) -> int:
    """Spikes, operations and readouts; the number of spikes."""
    expected = simulate(program, inputs)
    trace = NorseBackend().compile(program, RunOptions()).run(inputs, "spikes")
    count = 0
    for group, layer in zip(program.groups, trace.layers, strict=True):
        wanted = expected.layers[group.name]
        if group.spiking:
            assert layer.recorded_spikes is not None
            assert layer.recorded_spikes.shape == (len(inputs), program.timesteps, *group.shape)
            raster = np.asarray(wanted.raster, dtype=bool).reshape(layer.recorded_spikes.shape)
            np.testing.assert_array_equal(layer.recorded_spikes, raster, group.name)
        else:
            assert layer.recorded_spikes is None
        assert layer.spikes.tolist() == wanted.spikes
        assert layer.synops.tolist() == wanted.synops
        count += sum(wanted.spikes)
    assert trace.input_spikes.tolist() == expected.input_spikes
    assert trace.host_macs.tolist() == [program.host_macs] * len(inputs)
    outputs = program.readout_in_units(np.asarray(expected.raw_outputs, dtype=np.float64))
    np.testing.assert_allclose(trace.outputs, outputs, rtol=1e-9, atol=1e-9)
    return count


@given(
    random_graphs(inputs=3, outputs=3),
    st.integers(1, 7),
    st.sampled_from(("spikes", "constant", "graded")),
    st.sampled_from(READOUTS),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(150))
def test_random_graphs(graph: Any, timesteps: int, encoder: str, readout: Readout, seed: int) -> None:
    """Of those that the compiler takes, in which no cycle is too short for the chip."""
    try:
        program = compiled(off_the_grid(graph, seed), timesteps, encoder, readout)
    except InputError as error:
        reason = re.sub("'.*?'", "...", str(error))
        event(f"refused: {reason[:80]}")
        reject()
    assume(not any(synapse.late for synapse in program.synapses))
    check(program, samples(program, 2, np.random.default_rng(seed)))


EXACT = sorted(set(GRAPHS) - {"a_potential_through_a_matrix", "two_groups_in_a_cycle"})


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("encoder", ["spikes", "constant", "graded"])
def test_made_graphs(name: str, encoder: str) -> None:
    graph = off_the_grid(GRAPHS[name](), 0)
    if (name, encoder) == ("an_input_behind_a_back_edge", "graded"):
        with pytest.raises(UnsupportedError, match=r"hears the graded input a step late.* beside the cycle"):
            compiled(graph, 12, encoder, "v_last")
        return
    program = compiled(graph, 12, encoder, "v_last")
    assert not any(synapse.late for synapse in program.synapses)
    assert check(program, samples(program, 2, np.random.default_rng(1))) > 10


def test_a_late_synapse_counts_as_the_graph_has_it() -> None:
    """On the chip it delivers a step later, so one step less of it falls within the sample."""
    program = compiled(GRAPHS["two_groups_in_a_cycle"](), 9, "spikes", "count")
    (late,) = (synapse for synapse in program.synapses if synapse.late)
    assert (late.source, late.target, late.late, program.lag(late)) == ("b", "a", 1, 2)
    inputs = samples(program, 3, np.random.default_rng(2))
    trace = NorseBackend().compile(program, RunOptions()).run(inputs, "spikes")
    rasters = {layer.name: layer.recorded_spikes for layer in trace.layers}
    forward = next(synapse for synapse in program.synapses_into("a") if synapse is not late)
    into_a = next(layer for layer in trace.layers if layer.name == "a").synops
    fan_out = {s.name: np.count_nonzero(s.weights.matrix().toarray(), axis=0) for s in (late, forward)}
    assert rasters["b"] is not None
    assert rasters["b"][:, -2].any(), "the step that tells exact from late is silent"
    arriving = (
        inputs.sum(axis=1) @ fan_out[forward.name] + rasters["b"][:, :-1].sum(axis=1) @ fan_out[late.name]
    )
    assert into_a.tolist() == arriving.tolist()


@pytest.mark.parametrize("encoder", ["spikes", "constant"])
def test_norse_cells_that_subtract(encoder: str) -> None:
    """Norse's own cells would reset to a value, so the graph runs in their place."""
    layers = layers_from_module(network("counting"))
    graph = with_resets(export_student(Student("cells", layers, "count"), INPUT_SHAPE), "subtract")
    program = compiled(graph, 12, encoder, "count")
    assert not program.layers
    assert check(program, samples(program, 3, np.random.default_rng(0))) > 50
