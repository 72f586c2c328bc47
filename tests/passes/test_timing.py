"""Depths, delays and lateness: what met in the graph meets on the chip, or the report says so."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import Encoder, Readout, Student
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1

DT_S = 1e-3
SIZE = 3


def lif(tau_s: float = 4e-3) -> nir.LIF:
    ones = np.ones(SIZE)
    return nir.LIF(tau=tau_s * ones, r=4 * ones, v_leak=0 * ones, v_threshold=0.3 * ones)


def li() -> nir.LI:
    ones = np.ones(SIZE)
    return nir.LI(tau=4e-3 * ones, r=ones, v_leak=0 * ones)


def matrix(seed: int = 0) -> nir.Linear:
    return nir.Linear(np.random.default_rng(seed).normal(size=(SIZE, SIZE)))


def delay(*steps: float) -> nir.Delay:
    return nir.Delay(np.broadcast_to(np.array(steps) * DT_S, (SIZE,)).copy())


def program(
    nodes: dict[str, Any],
    edges: list[tuple[str, str]],
    *,
    readout: Readout = "count",
    encoder: str = "spikes",
    timesteps: int = 6,
) -> Program:
    """Compile a graph in floating point; ``in`` and ``out`` are added."""
    ends = {"in": nir.Input(np.array([SIZE])), "out": nir.Output(np.array([SIZE]))}
    graph = nir.NIRGraph({**ends, **nodes}, edges, metadata={"dt_s": DT_S}, type_check=False)
    student = Student("s", graph, readout)
    how = Encoder(encoder)  # type: ignore[arg-type]  # one of its kinds
    return compile_student(
        student, input_shape=(SIZE,), timesteps=timesteps, encoder=how, precision="float", formats=LOIHI1
    )


def chain(*names: str) -> list[tuple[str, str]]:
    return list(pairwise(names))


def lags(made: Program) -> dict[tuple[str, str], int]:
    return {(s.source, s.target): made.lag(s) for s in made.synapses}


def test_branches_of_different_depth_meet_in_the_same_step() -> None:
    nodes = {
        "a": lif(),
        "b": lif(),
        "c": lif(),
        "w": matrix(),
        "x": matrix(1),
        "y": matrix(2),
        "z": matrix(3),
    }
    edges = [*chain("in", "w", "a", "x", "b", "y", "c", "out"), *chain("a", "z", "c")]
    made = program(nodes, edges)
    assert {group.name: group.depth for group in made.groups} == {"a": 1, "b": 2, "c": 3}
    assert {s.name: s.delay for s in made.synapses} == {"w": 0, "x": 0, "y": 0, "z": 1}
    assert set(lags(made).values()) == {0}
    assert not any(s.within_sample for s in made.synapses)


def test_two_paths_from_one_source_are_one_synapse() -> None:
    nodes = {"a": lif(), "b": lif(), "w": matrix(1), "x": matrix(2)}
    edges = [*chain("in", "a", "w", "b", "out"), *chain("a", "x", "b"), ("a", "b")]
    made = program(nodes, edges)
    (synapse,) = made.synapses_into("b")
    gain = 4 * DT_S / 4e-3
    wanted = gain * (nodes["w"].weight + nodes["x"].weight + np.eye(SIZE))
    np.testing.assert_allclose(synapse.weights.matrix().toarray(), wanted, rtol=1e-12)


def test_a_group_on_its_own_cycle_keeps_the_graphs_timing() -> None:
    made = program({"a": lif(), "w": matrix()}, [*chain("in", "a", "out"), *chain("a", "w", "a")])
    loop = next(s for s in made.synapses if s.source == "a")
    assert (loop.within_sample, loop.late, made.lag(loop)) == (True, 0, 1)
    assert made.warnings == ()


def test_a_cycle_of_two_groups_is_late_by_one_step_and_says_so() -> None:
    nodes = {"a": lif(), "b": lif(), "v": matrix(1), "w": matrix(2)}
    made = program(nodes, [*chain("in", "a", "v", "b", "out"), *chain("b", "w", "a")])
    back = next(s for s in made.synapses if s.source == "b")
    assert (back.within_sample, back.late, made.lag(back)) == (True, 1, 2)
    (warning,) = made.warnings
    assert "connection 'w' closes a cycle of several neuron groups and arrives 1 step later" in warning


def test_a_delay_on_the_cycle_gives_the_synapses_their_time() -> None:
    nodes = {"a": lif(), "b": lif(), "v": matrix(1), "w": matrix(2), "d": delay(1)}
    made = program(nodes, [*chain("in", "a", "v", "b", "out"), *chain("b", "w", "d", "a")])
    back = next(s for s in made.synapses if s.source == "b")
    assert (back.within_sample, back.late, made.lag(back)) == (True, 0, 2)
    assert made.warnings == ()


def test_delays_that_differ_split_the_connection() -> None:
    made = program({"d": delay(0, 2, 5), "w": matrix(), "a": lif()}, chain("in", "d", "w", "a", "out"))
    found = {made.lag(s): s for s in made.synapses}
    assert sorted(found) == [0, 2, 5]
    total = sum(s.weights.matrix().toarray() for s in found.values())
    whole = program({"w": matrix(), "a": lif()}, chain("in", "w", "a", "out")).synapses[0]
    np.testing.assert_allclose(total, whole.weights.matrix().toarray())
    for column, lag in enumerate((0, 2, 5)):
        assert np.flatnonzero(found[lag].weights.matrix().toarray().any(axis=0)).tolist() == [column]
    assert [found[lag].within_sample for lag in (0, 2, 5)] == [False, True, True]


def test_delays_are_rounded_with_a_warning_and_negative_ones_refused() -> None:
    made = program({"d": delay(1.4), "a": lif()}, chain("in", "d", "a", "out"))
    assert made.lag(made.synapses[0]) == 1
    assert made.warnings == (
        "student 's', node 'd': delays are rounded to whole steps of 0.001 s, by up to 0.4 steps",
    )
    with pytest.raises(GraphError, match=r"node 'd': delay -0\.001 s is negative"):
        program({"d": delay(-1), "a": lif()}, chain("in", "d", "a", "out"))


def test_a_delay_beyond_the_chips_range_is_refused() -> None:
    assert program({"d": delay(63), "a": lif()}, chain("in", "d", "a", "out")).synapses[0].delay == 62
    with pytest.raises(
        UnsupportedError,
        match=r"needs a delay of 63 steps; loihi1 has at most 62; .* another chip with --hardware",
    ):
        program({"d": delay(64), "a": lif()}, chain("in", "d", "a", "out"))


def test_a_delayed_bias_and_a_delayed_constant_input_are_refused() -> None:
    biased = nir.Affine(np.eye(SIZE), np.ones(SIZE))
    with pytest.raises(UnsupportedError, match="node 'd' delays a bias, which would begin late"):
        program({"w": biased, "d": delay(1), "a": lif()}, chain("in", "w", "d", "a", "out"))
    with pytest.raises(UnsupportedError, match="node 'd' delays a constant input"):
        program({"d": delay(1), "a": lif()}, chain("in", "d", "a", "out"), encoder="constant")


def test_a_constant_input_reaches_every_group_that_hears_it() -> None:
    nodes = {"a": lif(), "b": lif(), "w": matrix(1), "x": matrix(2), "y": matrix(3)}
    edges = [*chain("in", "w", "a", "x", "b", "out"), *chain("in", "y", "b")]
    made = program(nodes, edges, encoder="constant")
    assert [(host.target, made.group(host.target).depth) for host in made.hosts] == [("a", 0), ("b", 1)]
    assert [(s.source, s.target) for s in made.synapses] == [("a", "b")]


def test_an_integrator_and_a_threshold_are_neurons_that_no_spike_resets() -> None:
    nodes = {"i": li(), "t": nir.Threshold(np.full(SIZE, 0.2))}
    made = program(nodes, chain("in", "i", "t", "out"))
    (group,) = made.groups
    assert (group.name, group.kind) == ("t", "lif")
    assert group.vsub_mant is not None
    assert (float(group.vth_mant), float(group.vsub_mant), float(group.dv)) == (0.2, 0.0, 0.25)
    ends = {**nodes, "o2": nir.Output(np.array([SIZE]))}
    both = program(ends, [*chain("in", "i", "t", "out"), ("i", "o2")], readout="v_last")
    assert [(group.name, group.kind) for group in both.output_groups] == [("i", "li"), ("t", "lif")]


def test_a_potential_that_feeds_neurons_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="group 'i' does not spike, but its potential feeds group 'a'"):
        program({"i": li(), "a": lif()}, chain("in", "i", "a", "out"))


def test_a_cycle_of_linear_maps_is_refused_by_name() -> None:
    nodes = {"w": matrix(1), "x": matrix(2), "a": lif()}
    with pytest.raises(GraphError, match=r"linear maps form a cycle \('w', 'x'\)"):
        program(nodes, [*chain("in", "w", "x", "w"), *chain("x", "a", "out")])


def test_resets_become_registers() -> None:
    def made(**metadata: Any) -> Any:
        node = lif()
        node.metadata = metadata
        return program({"a": node}, chain("in", "a", "out")).groups[0]

    assert made().vsub_mant is None
    assert float(made(reset="subtract").vsub_mant) == 0.3
    assert float(made(reset="subtract", reset_delayed=True).vsub_mant) == pytest.approx(0.3 / 0.75)
    with pytest.raises(
        GraphError, match="node 'a': metadata reset 'sometimes' is not one of value, subtract, none"
    ):
        made(reset="sometimes")
    later = made(reset_delayed=True)
    assert (later.vsub_mant, later.reset_delayed, later.reset) == (None, True, "value_delayed")
    kept = made(reset="none")
    assert (float(kept.vsub_mant), kept.reset_delayed, kept.reset) == (0.0, False, None)


def test_the_order_of_edges_changes_nothing() -> None:
    nodes = {"a": lif(), "b": lif(), "c": lif(), "v": matrix(1), "w": matrix(2)}
    edges = [*chain("in", "a", "v", "b", "c", "out"), *chain("c", "w", "a"), ("c", "b")]
    forward, backward = program(nodes, edges), program(nodes, edges[::-1])
    assert [group.name for group in forward.groups] == [group.name for group in backward.groups]
    assert lags(forward) == lags(backward)
