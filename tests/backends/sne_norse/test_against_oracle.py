"""The graph executor against a plain walk through the graph: every node, every step, bit for bit."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.frontend.nir.shapes import joined_input_shape
from sne_deploy.frontend.nir.topology import execution_order
from sne_norse.graph_executor import GraphExecutor
from tests.backends.sne_norse.float_programs import around, samples
from tests.backends.sne_norse.made_graphs import GRAPHS, ends, made, two_groups_in_a_cycle
from tests.effort import examples
from tests.graph_oracle import GraphOracle
from tests.graphs import DT_S, random_graphs

SAMPLES = 2


def check(graph: Any, timesteps: int, *, constant: bool, seed: int) -> dict[str, np.ndarray]:
    """Compare everything; what every node sent, [N, T, n]."""
    shape = joined_input_shape(graph)
    program = around(graph, shape, timesteps, constant=constant)
    inputs = samples(program, SAMPLES, np.random.default_rng(seed))
    sent = GraphExecutor(program).run(inputs)
    assert set(sent) == set(graph.nodes)
    for index, sample in enumerate(inputs):
        flat = sample.reshape(-1) if constant else sample.reshape(timesteps, -1)
        oracle = GraphOracle(graph, DT_S, shape, flat, constant=constant)
        for name, values in sent.items():
            for t in range(timesteps):
                expected = np.asarray(oracle.sends(name, t)).reshape(oracle.shapes[name])
                got = values[index, t].astype(np.float64)
                np.testing.assert_array_equal(got, expected, f"{name}, step {t}", strict=True)
    return {name: values.reshape(SAMPLES, timesteps, -1).astype(np.float64) for name, values in sent.items()}


@given(
    random_graphs(nested=0, bare=True, inputs=3, outputs=3, nodes=9),
    st.integers(1, 7),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(200))
def test_random_graphs(graph: Any, timesteps: int, constant: bool, seed: int) -> None:
    check(graph, timesteps, constant=constant, seed=seed)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_made_graphs(name: str, constant: bool) -> None:
    graph = GRAPHS[name]()
    sent = check(graph, 12, constant=constant, seed=1)
    for node in graph.nodes:
        if isinstance(graph.nodes[node], (nir.LIF, nir.CubaLIF)):
            assert 0 < sent[node].mean() < 1, f"{node} never changes"


def test_a_back_edge_starts_with_the_bias() -> None:
    """Where no neuron has spiked, a map still adds its bias."""
    graph = two_groups_in_a_cycle()
    assert execution_order(graph).back_edges == {("ba", "a")}
    without = two_groups_in_a_cycle()
    without.nodes["ba"] = nir.Linear(graph.nodes["ba"].weight)
    program, plain = (around(g, (4,), 1, constant=False) for g in (graph, without))
    silent = np.zeros((1, 1, 4), np.uint8)
    first, other = (GraphExecutor(p).run(silent) for p in (program, plain))
    assert not np.array_equal(first["a"], other["a"])


def test_a_delay_of_one_sample_changes_nothing_at_once() -> None:
    nodes = {**ends(2, 2), "d": nir.Delay(np.array([2.0, 3.0]) * DT_S)}
    program = around(made(nodes, "input > d > output"), (2,), 5, constant=False)
    inputs = np.arange(1, 11).reshape(1, 5, 2)
    got = GraphExecutor(program).run(inputs)["d"][0].tolist()
    assert got == [[0, 0], [0, 0], [1, 0], [3, 2], [5, 4]]


def test_a_time_constant_that_rounding_puts_below_the_step_is_the_step() -> None:
    nodes = {**ends(1, 1), "li": nir.LI(np.array([DT_S * (1 - 1e-7)]), np.ones(1), np.zeros(1))}
    program = around(made(nodes, "input > li > output"), (1,), 3, constant=False)
    sent = GraphExecutor(program).run(np.array([[[1], [0], [1]]], np.uint8))
    assert sent["li"][0, :, 0].tolist() == [1, 0, 1]
