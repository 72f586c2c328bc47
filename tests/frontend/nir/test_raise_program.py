"""A Program raised to a NIR graph, compiled in floating point, is the same network in the student's units."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.nir.raise_program import raise_program
from sne_deploy.frontend.nir.recover_conv import conv_of
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program
from sne_deploy.ir.weights import ConvWeights
from sne_deploy.model.ensemble import Encoder, Student
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1
from tests.effort import examples
from tests.net_programs import chain, net_programs
from tests.strategies import programs


def compiled(graph: nir.NIRGraph, program: Program) -> Program:
    """In floating point, as the compiler does it."""
    kinds = {"current": "constant", "graded": "graded", "spikes": "spikes"}
    return compile_student(
        Student(program.name, graph, program.readout),
        input_shape=program.input.shape,
        timesteps=program.timesteps,
        encoder=Encoder(kinds[program.input.kind], program.input.range),
        precision="float",
        formats=LOIHI1,
    )


def constants(group: NeuronGroup, *, fixed: bool) -> dict[str, np.ndarray]:
    """Everything of a group but its bias, per neuron, in the student's units."""
    threshold = (64 if fixed else 1) / group.scale
    values: dict[str, Any] = {
        "du": (group.du + 1) / 4096 if fixed else group.du,
        "dv": group.dv / 4096 if fixed else group.dv,
        "v_reset": group.v_reset,
        "v_init": group.v_init / group.scale,
    }
    if group.spiking:
        values["vth"] = group.vth_mant * threshold
        values["vsub"] = 0 if group.vsub_mant is None else group.vsub_mant * threshold
        values["vth"], values["v_init"] = values["vth"] + _origin(group), values["v_init"] + _origin(group)
        values["v_reset"] = values["v_reset"] - _origin(group)
    return {name: np.broadcast_to(np.asarray(value, float), (group.size,)) for name, value in values.items()}


def _origin(group: NeuronGroup) -> Any:
    """What v is counted from in a group that never resets: a graph cannot say it, and counts from 0."""
    return group.v_reset if group.spiking and group.reset is None else 0.0


BIAS, HOST_BIAS, ALWAYS = ("", 0), ("host bias", 0), (ALWAYS_ON, 0)


def inputs_of(program: Program, group: NeuronGroup) -> dict[tuple[str, int], np.ndarray]:
    """What reaches a group, in the student's units: matrices by source and lag; the bias from ``""``."""
    fixed = program.precision == "fixed"
    found: dict[tuple[str, int], Any] = defaultdict(lambda: 0)
    found["", 0] = np.broadcast_to(group.bias_mant * 2.0**group.bias_exp / group.scale, (group.size,)).copy()
    found["", 0] += (group.dv / 4096 if fixed else group.dv) * _origin(group)
    for synapse in program.synapses_into(group.name):
        unit = 2.0 ** (synapse.weight_exp + 6 * fixed) / group.scale
        matrix = synapse.weights.matrix().toarray() * unit
        silent = (
            synapse.source not in (ALWAYS_ON, program.input.name)
            and not program.group(synapse.source).spiking
        )
        if not silent and np.any(matrix):
            found[synapse.source, program.lag(synapse)] += matrix
    host = program.host_of(group.name)
    if host is not None:
        unit = host.register_scale * 64 / group.scale if host.register_scale else 1.0
        found["host", 0] = host.matrix.toarray() * unit
        found["host bias", 0] = host.bias * unit
    return dict(found)


def assert_alike(program: Program, again: Program, *, warned: set[str]) -> None:
    """The same groups, whatever their order, and the same maps between them."""
    assert {group.name for group in program.groups} == {group.name for group in again.groups}
    for group in program.groups:
        other = again.group(group.name)
        ours, theirs = constants(group, fixed=True), constants(other, fixed=False)
        for name in ours:
            if name != "v_init" or group.name not in warned:
                np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-9, atol=2e-9, err_msg=group.name)
        wanted, got = inputs_of(program, group), inputs_of(again, other)
        if group.name not in warned:
            for keys in (
                ([BIAS, HOST_BIAS, ALWAYS],) if not other.has_current else ([BIAS], [HOST_BIAS, ALWAYS])
            ):
                sums = [sum(np.ravel(found[key]) for key in keys if key in found) for found in (wanted, got)]
                atol = 2.0**group.bias_exp / group.scale if np.any(group.v_init) else 1e-6
                np.testing.assert_allclose(
                    sums[1], sums[0], rtol=1e-6, atol=atol, err_msg=f"{group.name} {keys}"
                )
        for key in (set(wanted) | set(got)) - {BIAS, HOST_BIAS, ALWAYS}:
            assert key in wanted, f"{group.name}: {key} came from nowhere"
            assert key in got, f"{group.name}: {key} was lost"
            np.testing.assert_allclose(got[key], wanted[key], rtol=1e-9, atol=1e-12, err_msg=str(key))


def warned_groups(warnings: tuple[str, ...]) -> set[str]:
    return {warning.split("'")[1] for warning in warnings}


@settings(max_examples=examples(60), deadline=None)
@given(program=net_programs())
def test_chains(program: Program) -> None:
    raised = raise_program(program)
    assert_alike(program, compiled(raised.graph, program), warned=warned_groups(raised.warnings))


REFUSED = (
    "closes a cycle of several groups",
    "subtracts something else than its threshold",
    "has no input",
    "resting value",
)


@settings(max_examples=examples(100), deadline=None)
@given(data=st.data())
def test_any_program(data: st.DataObject) -> None:
    program = data.draw(programs("fixed"))
    try:
        raised = raise_program(program)
    except GraphError as error:
        if any(text in str(error) for text in REFUSED):
            return
        raise
    unread = {group.name for group in program.groups if not group.spiking} - set(program.outputs)
    if not unread:
        assert_alike(program, compiled(raised.graph, program), warned=warned_groups(raised.warnings))


def test_the_graph_can_be_stored(tmp_path: Any) -> None:
    program, _ = chain("crd", "current", "v_last")
    graph = raise_program(replace(program, dt_s=0.5)).graph
    assert graph.metadata["dt_s"] == 0.5
    write_nir(tmp_path / "a.nir", graph)
    again = read_nir(tmp_path / "a.nir")
    assert sorted(again.edges) == sorted(graph.edges)
    assert isinstance(again.nodes["c0"], nir.CubaLIF)
    np.testing.assert_array_equal(again.nodes["c0"].tau_mem, graph.nodes["c0"].tau_mem)


def test_a_convolution_on_the_host_is_found_again() -> None:
    rng = np.random.default_rng(0)
    for stride, padding in (((1, 1), (1, 1)), ((2, 2), (0, 1)), ((1, 3), (2, 0))):
        out = tuple((n + 2 * p - 3) // s + 1 for n, p, s in zip((8, 9), padding, stride, strict=True))
        conv = ConvWeights(rng.normal(size=(4, 2, 3, 3)), (2, 8, 9), (4, *out), stride, padding)
        found = conv_of(conv.matrix(), conv.in_shape, conv.out_shape)
        assert found is not None
        np.testing.assert_array_equal(found.matrix().toarray(), conv.matrix().toarray())
    assert conv_of(sparse.random(36, 18, 0.5, format="csr", random_state=1), (2, 3, 3), (4, 3, 3)) is None


def test_what_a_graph_cannot_say() -> None:
    program, _ = chain("dd", "spikes", "count")
    loop = replace(program.synapses[1], name="back", source="d1", target="d0", within_sample=True, delay=1)
    loop = replace(loop, weights=type(loop.weights)(np.ones((8, 4), np.int32)))
    with pytest.raises(GraphError, match="'back' closes a cycle of several groups"):
        raise_program(replace(program, synapses=(*program.synapses, loop)))
    soft = replace(program.groups[0], vsub_mant=np.asarray(3, np.int32))
    with pytest.raises(GraphError, match="'d0': a spike subtracts something else than its threshold"):
        raise_program(replace(program, groups=(soft, program.groups[1])))
    subtracts = replace(soft, vsub_mant=soft.vth_mant)
    graph = raise_program(replace(program, groups=(subtracts, program.groups[1]))).graph
    assert graph.nodes["d0"].metadata == {"reset": "subtract"}


@pytest.mark.parametrize(
    ("registers", "metadata"),
    [
        ({"reset_delayed": True}, {"reset": "value", "reset_delayed": True}),
        ({"vsub_mant": np.asarray(0, np.int32)}, {"reset": "none"}),
    ],
)
def test_a_reset_comes_back(registers: dict[str, Any], metadata: dict[str, Any]) -> None:
    program, _ = chain("dd", "spikes", "count")
    made = replace(program, groups=(replace(program.groups[0], **registers), program.groups[1]))
    graph = raise_program(made).graph
    assert graph.nodes["d0"].metadata == metadata
    back = compiled(graph, made).group("d0")
    assert back.reset == made.groups[0].reset != program.groups[0].reset
    assert (back.vsub_mant is None) == (made.groups[0].vsub_mant is None)
