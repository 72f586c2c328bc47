"""What enters a graph, where it is not said plainly; and graphs with several inputs and outputs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import GraphError, InputError, UnsupportedError
from sne_deploy.frontend.nir.findings import examine
from sne_deploy.frontend.nir.shapes import (
    graph_shapes,
    input_shape_of,
    joined_input_shape,
    resolve,
)
from tests.effort import examples
from tests.graphs import random_graphs


def lif(*shape: int) -> nir.LIF:
    ones = np.ones(shape)
    return nir.LIF(tau=0.01 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)


def shape(*sizes: int) -> np.ndarray | None:
    return np.array(sizes) if sizes else None


def chain(*nodes: Any, enters: Any = None, leaves: Any = None) -> nir.NIRGraph:
    named = {"input": nir.Input(enters), **{f"n{i}": node for i, node in enumerate(nodes)}}
    named["output"] = nir.Output(leaves)
    return nir.NIRGraph(named, list(pairwise(named)), type_check=False)


def conv(input_shape: Any = None) -> nir.Conv2d:
    return nir.Conv2d(input_shape, np.ones((4, 2, 3, 3)), 1, 0, 1, 1, np.zeros(4))


def conv1d(input_shape: Any = None) -> nir.Conv1d:
    return nir.Conv1d(input_shape, np.ones((4, 1, 3)), 1, 0, 1, 2, np.zeros(4))


INFERRED = {
    "linear": (chain(nir.Linear(np.ones((3, 7)))), (7,)),
    "affine after one value": (chain(lif(), lif(1), nir.Affine(np.ones((3, 7)), np.ones(3))), (7,)),
    "conv": (chain(conv((5, 6))), (2, 5, 6)),
    "grouped conv1d": (chain(conv1d(9)), (2, 9)),
    "neurons": (chain(lif(2, 3)), (2, 3)),
    "threshold": (chain(nir.Threshold(np.ones((4, 1)))), (4, 1)),
    "delay": (chain(nir.Delay(np.ones(5))), (5,)),
    "flatten": (chain(nir.Flatten({"input": np.array([2, 3])}, 0, -1)), (2, 3)),
    "one neuron": (chain(lif(1)), (1,)),
    "output": (chain(lif(), leaves=shape(4)), (4,)),
}


@pytest.mark.parametrize("case", INFERRED)
def test_a_missing_input_shape_follows_from_the_nodes_after_it(case: str) -> None:
    made, expected = INFERRED[case]
    assert input_shape_of(made) == expected
    normal, notes = examine(made)
    assert normal.nodes["input"].input_type["input"].tolist() == list(expected)
    assert notes == ()


@pytest.mark.parametrize(
    "made", [chain(conv()), chain(nir.AvgPool2d(2, 2, 0)), chain(lif()), chain(nir.Flatten(None, 0, -1))]
)
def test_where_nothing_says_the_shape_the_caller_must(made: nir.NIRGraph) -> None:
    with pytest.raises(
        GraphError, match=r"input 'input' declares no shape, and none follows.*give it one: --input-shape"
    ):
        graph_shapes(made)
    assert graph_shapes(made, (2, 6, 4))["input"] == (2, 6, 4)


BATCHED = {
    "vector": (chain(nir.Linear(np.ones((3, 7))), enters=shape(1, 7), leaves=shape(1, 3)), (7,), 2),
    "batch of 16": (chain(nir.Linear(np.ones((3, 7))), enters=shape(16, 7), leaves=shape(3)), (7,), 1),
    "time and batch": (chain(conv(), enters=shape(5, 1, 2, 6, 6), leaves=None), (2, 6, 6), 1),
    "output alone": (
        chain(nir.Linear(np.ones((1, 7))), enters=shape(7), leaves=shape(1, 1, 1)), (7,), 1
    ),
    "neurons of their own shape": (chain(lif(5), enters=shape(16, 5)), (5,), 1),
}  # fmt: skip


@pytest.mark.parametrize("case", BATCHED)
def test_axes_of_batch_and_time_are_dropped_and_named(case: str) -> None:
    made, expected, count = BATCHED[case]
    if case == "neurons of their own shape":
        with pytest.raises(
            GraphError, match=r"can be broadcast to that, and also have the shapes for \(5,\)"
        ):
            examine(made)
        _, notes = examine(made, expected)
    else:
        normal, notes = examine(made)
        assert joined_input_shape(normal) == expected
        assert examine(normal)[1] == ()
    assert len(notes) == count
    assert all("taken for batch or time" in note for note in notes)


def test_a_batch_axis_that_fits_is_part_of_the_shape() -> None:
    made = chain(nir.Flatten(None, 0, -1), nir.Linear(np.ones((3, 14))), enters=shape(2, 7))
    assert input_shape_of(made) == (2, 7)
    assert examine(made)[1] == ()


WRONG = {
    "size": (chain(nir.Linear(np.ones((3, 7))), enters=shape(8)), r"node 'n0' \(Linear\): gets shape \(8,\)"),
    "last axis": (
        chain(nir.Linear(np.ones((3, 7))), enters=shape(7, 1)),
        r"node 'n0' \(Linear\): gets shape \(7, 1\)",
    ),
    "output": (
        chain(nir.Linear(np.ones((3, 7))), leaves=shape(3, 1)),
        r"node 'output' \(Output\): gets shape \(3,\), declares \(3, 1\)",
    ),
    "parameters": (
        chain(lif(4), enters=shape(3)),
        r"node 'n0' \(LIF\): gets shape \(3,\), its tau has \(4,\)",
    ),
    "flatten": (
        chain(nir.Flatten({"input": np.array([2, 4])}, 0, -1), enters=shape(2, 3)),
        r"gets shape \(2, 3\), declares \(2, 4\)",
    ),
    "root": (
        nir.NIRGraph({"a": lif(2), "b": lif(2)}, [("a", "b"), ("b", "a")], type_check=False),
        "the graph has no Input, and no node where one could be; add one",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_contradicts_is_refused_by_name(case: str) -> None:
    made, match = WRONG[case]
    with pytest.raises(GraphError, match=match):
        graph_shapes(made)


def test_unknown_nodes_are_listed_at_once_inner_ones_too() -> None:
    class Odd(nir.Linear):
        pass

    inner = chain(Odd(np.ones((3, 3))), enters=shape(3), leaves=shape(3))
    made = chain(inner, Odd(np.ones((3, 3))), enters=shape(3))
    with pytest.raises(UnsupportedError, match=r"node 'n0\.n0' of type Odd; node 'n1' of type Odd"):
        graph_shapes(made)


def two_inputs(a: Any, b: Any) -> nir.NIRGraph:
    nodes = {
        "b": nir.Input(b),
        "flat": nir.Flatten(None, 0, -1),
        "a": nir.Input(a),
        "fa": nir.Linear(np.ones((3, 4))),
        "fb": nir.Linear(np.ones((3, 6))),
        "lif": lif(3),
        "second": nir.Output(None),
        "first": nir.Output(shape(3)),
    }
    edges = [("b", "flat"), ("flat", "fb"), ("a", "fa"), ("fa", "lif"), ("fb", "lif"), ("lif", "first")]
    return nir.NIRGraph(nodes, [*edges, ("fb", "second")], type_check=False)


def test_several_inputs_are_joined_in_the_order_of_their_names() -> None:
    made = two_inputs(shape(4), shape(2, 3))
    assert list(resolve(made).inputs.items()) == [("a", (4,)), ("b", (2, 3))]
    assert joined_input_shape(made) == (10,)
    assert graph_shapes(made, (10,)) == graph_shapes(made)
    assert joined_input_shape(two_inputs(None, shape(2, 3))) == (10,)
    assert joined_input_shape(two_inputs(shape(1, 4), shape(1, 2, 3))) == (10,)
    assert graph_shapes(two_inputs(shape(1, 4), shape(1, 2, 3)), (10,))["b"] == (2, 3)
    with pytest.raises(GraphError, match=r"2 inputs have 10 values together, not shape \(9,\); give \(10,\)"):
        graph_shapes(made, (9,))
    with pytest.raises(GraphError, match="the graph has 2 inputs: a, b; one is needed here"):
        input_shape_of(made)
    with pytest.raises(GraphError, match=r"input 'b' declares no shape, .*; write one into the file"):
        graph_shapes(two_inputs(None, None))


def test_inner_graphs_have_the_shape_that_leaves_them_and_hold_to_what_they_declare() -> None:
    inner = chain(nir.Linear(np.ones((3, 4))), enters=shape(4), leaves=shape(3))
    assert graph_shapes(chain(inner, lif(3), enters=shape(4))) == {
        "input": (4,), "n0": (3,), "n1": (3,), "output": (3,)
    }  # fmt: skip
    wrong = chain(nir.Flatten(None, 0, -1), enters=shape(2, 3), leaves=None)
    with pytest.raises(
        GraphError, match=r"node 'n0\.input' \(Input\): gets shape \(3, 2\), declares \(2, 3\)"
    ):
        graph_shapes(chain(wrong, enters=shape(3, 2)))


def test_a_wrong_size_of_a_convolution_is_said_and_not_used() -> None:
    """As nir 1.0.8 infers it behind a kernel that is not square."""
    first = nir.Conv2d((6, 6), np.ones((2, 2, 3, 1)), 1, 0, 1, 1, np.zeros(2))
    made = chain(first, conv((4, 4)), enters=shape(2, 6, 6))
    assert graph_shapes(made)["n1"] == (4, 2, 4)
    (note,) = examine(made)[1]
    assert "node 'n1' (Conv2d) declares an input of (4, 4), and gets (4, 6), which is used" in note


@pytest.mark.parametrize(
    ("declared", "start"), [((1, 2, 3, 4), 1), ((0, 0, 0, 0), 1), ((2, 3, 4), 0), (None, 0)]
)
def test_a_flatten_may_count_a_batch_axis(declared: Any, start: int) -> None:
    node = nir.Flatten(None if declared is None else {"input": np.array(declared)}, start, -1)
    made = chain(node, nir.Linear(np.ones((3, 24))), enters=shape(2, 3, 4))
    normal, notes = examine(made)
    flat = normal.nodes["n0"]
    assert (flat.input_type["input"].tolist(), flat.start_dim, flat.end_dim) == ([2, 3, 4], 0, 2)
    assert len(notes) == (declared is not None and len(declared) == 4)
    with pytest.raises(
        GraphError, match=r"start_dim=0 to end_dim=-1 are not axes of shape \(1, 2, 3, 4\) after"
    ):
        graph_shapes(chain(nir.Flatten({"input": np.array([1, 2, 3, 4])}, 0, -1), enters=shape(2, 3, 4)))


@settings(max_examples=examples(60))
@given(random_graphs(), st.randoms(use_true_random=False))
def test_shapes_are_those_of_nir_wherever_nir_has_them(made: nir.NIRGraph, random: Any) -> None:
    """And depend on no order; declared shapes that are left out are found again or asked for."""
    shapes = graph_shapes(made)
    nodes, edges = list(made.nodes.items()), list(made.edges)
    random.shuffle(nodes)
    random.shuffle(edges)
    assert graph_shapes(nir.NIRGraph(dict(nodes), edges, type_check=False)) == shapes
    for name, node in made.nodes.items():
        if type(node).__name__ in ("LIF", "IF", "CubaLIF", "LI", "I", "Linear", "Affine", "Scale", "Delay"):
            assert shapes[name] == tuple(np.atleast_1d(node.output_type["output"]))
    bare = {
        name: nir.Input(None) if isinstance(node, nir.Input) else node for name, node in made.nodes.items()
    }
    try:
        found = graph_shapes(nir.NIRGraph(bare, edges, type_check=False))
    except InputError as error:
        assert "declares no shape, and none follows" in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert found == shapes
