"""Graphs within graphs: as one flat graph that computes the same."""

from __future__ import annotations

import zlib
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.flatten import MAX_NESTING, inline
from tests.effort import examples
from tests.graphs import assert_same_graph, random_graphs


def graph(nodes: dict[str, Any], *edges: str, **metadata: Any) -> nir.NIRGraph:
    """Edges as "a b c": from a to b, from b to c."""
    pairs = [pair for line in edges for pair in zip(line.split()[:-1], line.split()[1:], strict=True)]
    return nir.NIRGraph(nodes, pairs, metadata=metadata, type_check=False)


def entry(size: int = 3) -> nir.Input:
    return nir.Input(np.array([size]))


def leave(size: int = 3) -> nir.Output:
    return nir.Output(np.array([size]))


def scale(value: float = 0.5) -> nir.Scale:
    return nir.Scale(np.full(3, value))


def block(*edges: str, **nodes: Any) -> nir.NIRGraph:
    return graph({"input": entry(), **nodes, "output": leave()}, *edges)


def test_inner_nodes_get_dotted_names_and_ports_vanish() -> None:
    recurrent = block("input lif output", "lif w_rec lif", lif=scale(), w_rec=scale())
    recurrent.metadata = {"kind": "RSynaptic"}
    outer = graph({"input": entry(), "lif1": recurrent, "output": leave()}, "input lif1 output", dt_s=0.001)
    flat = inline(outer)
    assert list(flat.nodes) == ["input", "lif1.lif", "lif1.w_rec", "output"]
    assert sorted(flat.edges) == [
        ("input", "lif1.lif"),
        ("lif1.lif", "lif1.w_rec"),
        ("lif1.lif", "output"),
        ("lif1.w_rec", "lif1.lif"),
    ]
    assert flat.metadata == {"dt_s": 0.001, "inner_graphs": {"lif1": {"kind": "RSynaptic"}}}
    assert flat.nodes["lif1.lif"] is recurrent.nodes["lif"]
    assert list(outer.nodes) == ["input", "lif1", "output"]
    assert set(recurrent.nodes) == {"input", "lif", "w_rec", "output"}


def test_a_pass_through_joins_what_is_before_and_after() -> None:
    outer = graph(
        {"input": entry(), "a": scale(), "none": block("input output"), "output": leave()},
        "input a none output",
    )
    flat = inline(outer)
    assert set(flat.nodes) == {"input", "a", "output"}
    assert sorted(flat.edges) == [("a", "output"), ("input", "a")]


def test_a_value_that_arrives_twice_still_counts_twice() -> None:
    """A shortcut in a block beside one around it: nir has no double edges, so a Scale by 1 stays."""
    shortcut = block("input a output", "input output", a=scale())
    outer = graph({"input": entry(), "sub": shortcut, "output": leave()}, "input sub output", "input output")
    flat = inline(outer)
    assert set(flat.nodes) == {"input", "sub.a", "sub.output", "output"}
    assert isinstance(flat.nodes["sub.output"], nir.Scale)
    assert gains(flat) == pytest.approx(gains(outer))
    assert sorted(flat.edges) == [
        ("input", "output"),
        ("input", "sub.a"),
        ("input", "sub.output"),
        ("sub.a", "sub.output"),
        ("sub.output", "output"),
    ]


def test_graphs_without_ports_get_them_as_in_nir() -> None:
    inner = graph({"a": scale(), "b": scale()}, "a b")
    outer = graph({"first": scale(), "sub": inner, "last": scale()}, "first sub last")
    flat = inline(outer)
    assert list(flat.nodes) == ["first", "sub.a", "sub.b", "last", "input_first", "output_last"]
    taken = inline(graph({"a": scale(), "input_a": scale(), "input_a_0": scale()}, "a input_a input_a_0"))
    assert isinstance(taken.nodes["input_a_1"], nir.Input)
    checked = nir.NIRGraph({"a": scale(), "b": scale()}, [("a", "b")])
    assert set(checked.nodes) == set(inline(graph({"a": scale(), "b": scale()}, "a b")).nodes)


def nested(levels: int) -> nir.NIRGraph:
    made = block("input a output", a=scale())
    for _ in range(levels):
        made = block("input sub output", sub=made)
    return made


def test_many_edges_are_not_multiplied() -> None:
    """150 edges into a port and 150 out of it would be 22,500; a Scale by 1 needs 300."""
    after, before = ([f"{side}{index}" for index in range(150)] for side in "ba")
    sub = block(*(f"input {name} output" for name in after), **{name: scale() for name in after})
    outer = {"input": entry(), **{name: scale() for name in before}, "sub": sub, "output": leave()}
    flat = inline(graph(outer, *(f"input {name} sub" for name in before), "sub output"))
    assert isinstance(flat.nodes["sub.input"], nir.Scale)
    assert "sub.output" not in flat.nodes
    assert len(flat.edges) == 4 * 150


def test_nesting_is_bounded() -> None:
    assert "sub.sub.sub.sub.sub.a" in inline(nested(MAX_NESTING)).nodes
    with pytest.raises(GraphError, match=f"nested deeper than {MAX_NESTING} levels at 'sub.sub"):
        inline(nested(MAX_NESTING + 1))
    itself = block("input sub output", sub=scale())
    itself.nodes["sub"] = itself
    with pytest.raises(GraphError, match="nested deeper than"):
        inline(itself)


TWO = {"a": entry(), "b": entry(), "s": scale(), "output": leave()}
REFUSED = {
    "two inputs": (
        graph({"input": entry(), "sub": graph(TWO, "a s output", "b s")}, "input sub"),
        r"an edge leads into graph 'sub', which has 2 Inputs; an edge names no port, so there must be",
    ),
    "two outputs": (
        graph(
            {"input": entry(), "sub": block("input output", "input o2", o2=leave()), "output": leave()},
            "input sub output",
        ),
        "an edge leads out of graph 'sub', which has 2 Outputs",
    ),
    "clash": (
        graph(
            {"input": entry(), "sub": block("input a output", a=scale()), "sub.a": scale()},
            "input sub sub.a",
        ),
        "two nodes are called 'sub.a' once inner graphs are inlined; rename one",
    ),
    "inner edge": (
        graph({"input": entry(), "sub": block("input gone output")}, "input sub"),
        "graph 'sub': edge 'input' -> 'gone' names 'gone', which is not a node",
    ),
    "empty loop": (
        graph({"input": entry(), "sub": block("input output"), "output": leave()}, "input sub sub output"),
        "leads straight back to itself; put a node between",
    ),
    "none": (
        graph({"input": entry(), "pool": None, "output": leave()}, "input pool output"),
        r"node 'pool' is None: its exporter did not know the module \(Norse 1\.1\.0",
    ),
    "same": (graph({1: scale(), "1": scale()}), "two nodes are called '1'; rename one"),
    "double": (
        graph({"input": entry(), "sub": block("input a output", "input a", a=scale())}, "input sub"),
        "graph 'sub': edge 'input' -> 'a' is there twice; remove one",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_ambiguous_is_refused_by_name(case: str) -> None:
    made, match = REFUSED[case]
    with pytest.raises(GraphError, match=match):
        inline(made)


def gains(made: nir.NIRGraph) -> dict[tuple[str, str], float]:
    """From every input to every output: the gain of the graph if each node scales the sum of what enters it.

    Inner graphs are solved for themselves, so nothing here flattens anything.
    """
    return {
        (source, target): gain
        for source, targets in _solved(made, "").items()
        for target, gain in targets.items()
    }


def _solved(made: nir.NIRGraph, prefix: str) -> dict[str, dict[str, float]]:
    names = sorted(made.nodes)
    factors = np.array([_factor(name, made.nodes[name], prefix) for name in names])
    adjacency = np.zeros((len(names), len(names)))
    for source, target in made.edges:
        adjacency[names.index(target), names.index(source)] = 1
    response = np.linalg.inv(np.eye(len(names)) - factors[:, None] * adjacency)
    inputs = [name for name in names if isinstance(made.nodes[name], nir.Input)]
    outputs = [name for name in names if isinstance(made.nodes[name], nir.Output)]
    return {a: {b: float(response[names.index(b), names.index(a)]) for b in outputs} for a in inputs}


def _factor(name: str, node: Any, prefix: str) -> float:
    if isinstance(node, nir.NIRGraph):
        ((gain,),) = (targets.values() for targets in _solved(node, f"{prefix}{name}.").values())
        return gain
    if isinstance(node, (nir.Input, nir.Output)) or (isinstance(node, nir.Scale) and node.scale.shape == ()):
        return 1.0
    return 0.05 + zlib.crc32(f"{prefix}{name}".encode()) % 100 / 500


@settings(max_examples=examples(100))
@given(random_graphs(nested=3, nodes=9))
def test_inlining_keeps_every_path_and_twice_is_once(made: nir.NIRGraph) -> None:
    flat = inline(made)
    assert not any(isinstance(node, nir.NIRGraph) for node in flat.nodes.values())
    assert gains(flat) == pytest.approx(gains(made), rel=1e-9)
    assert_same_graph(inline(flat), flat)
