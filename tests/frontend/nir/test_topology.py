"""The order within a step, and the edges that carry the last step's value."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.frontend.nir.flatten import inline
from sne_deploy.frontend.nir.topology import execution_order
from tests.effort import examples
from tests.graphs import random_graphs


def graph(*edges: str) -> nir.NIRGraph:
    """Edges as "ab": from a to b; i is the input, o the output."""
    names = sorted({name for edge in edges for name in edge})
    ends = {"i": nir.Input(np.array([1])), "o": nir.Output(np.array([1]))}
    nodes = {name: ends.get(name, nir.Scale(np.ones(1))) for name in names}
    return nir.NIRGraph(nodes, [(a, b) for a, b in edges], type_check=False)


def test_the_usual_recurrent_cell_delays_its_matrix() -> None:
    found = execution_order(graph("il", "lw", "wl", "lo"))
    assert found.back_edges == {("w", "l")}
    assert found.order.index("l") < found.order.index("w")


def test_a_chain_has_no_back_edge_and_a_loop_to_itself_is_one() -> None:
    assert execution_order(graph("ia", "ab", "bo")).order == ("i", "a", "b", "o")
    assert execution_order(graph("ia", "ab", "bo")).back_edges == frozenset()
    assert execution_order(graph("ia", "aa", "ao")).back_edges == {("a", "a")}


def test_a_diamond_is_no_cycle() -> None:
    assert execution_order(graph("ia", "ib", "ac", "bc", "co", "ab")).back_edges == frozenset()


def test_deep_graphs_need_no_recursion() -> None:
    names = ["i", *(f"n{index:05d}" for index in range(20_000)), "o"]
    nodes = {name: nir.Scale(np.ones(1)) for name in names}
    edges = list(pairwise(names))
    found = execution_order(nir.NIRGraph(nodes, edges[::-1], type_check=False))
    assert found.order == tuple(names)


@settings(max_examples=examples(100))
@given(random_graphs(nested=2), st.randoms(use_true_random=False))
def test_without_its_back_edges_a_graph_has_an_order_that_no_listing_changes(
    made: nir.NIRGraph, random: Any
) -> None:
    flat = inline(made)
    found = execution_order(flat)
    place = {name: index for index, name in enumerate(found.order)}
    assert sorted(place) == sorted(flat.nodes)
    assert found.back_edges <= set(flat.edges)
    for source, target in flat.edges:
        assert ((source, target) in found.back_edges) == (place[source] >= place[target])
    nodes, edges = list(flat.nodes.items()), list(flat.edges)
    random.shuffle(nodes)
    random.shuffle(edges)
    assert execution_order(nir.NIRGraph(dict(nodes), edges, type_check=False)) == found


@settings(max_examples=examples(60))
@given(random_graphs(cycles=False))
def test_graphs_without_cycles_have_no_back_edges(made: nir.NIRGraph) -> None:
    assert execution_order(inline(made)).back_edges == frozenset()


@settings(max_examples=examples(60))
@given(random_graphs())
def test_every_back_edge_closes_a_cycle(made: nir.NIRGraph) -> None:
    flat = inline(made)
    follows: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for source, target in flat.edges:
        follows[source].append(target)
    for source, target in execution_order(flat).back_edges:
        reached, waiting = {target}, [target]
        while waiting:
            new = [name for name in follows[waiting.pop()] if name not in reached]
            reached.update(new)
            waiting += new
        assert source in reached
