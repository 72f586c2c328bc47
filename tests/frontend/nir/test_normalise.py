"""Graphs of any tool in one form: flat, ordered, with a value for every neuron."""

from __future__ import annotations

import copy
from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.arrays import to_shape
from sne_deploy.frontend.nir.findings import examine
from sne_deploy.frontend.nir.flatten import inline
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.primitives import parameters_of
from sne_deploy.frontend.nir.shapes import graph_shapes, joined_input_shape
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.model.ensemble import Student
from tests.effort import examples
from tests.frontend.nir.test_input_shapes import chain, lif, shape
from tests.graphs import assert_same_graph, random_graphs


@settings(max_examples=examples(80))
@given(random_graphs(nested=2))
def test_what_later_stages_rely_on(made: nir.NIRGraph) -> None:
    before = copy.deepcopy(made)
    normal = normalise(made)
    assert_same_graph(made, before)
    shapes = graph_shapes(normal)
    assert list(normal.nodes) == list(execution_order(normal).order)
    assert normal.edges == sorted(inline(made).edges)
    assert set(normal.nodes) == set(inline(made).nodes)
    assert normal.metadata["dt_s"] == made.metadata["dt_s"]
    for name, node in normal.nodes.items():
        assert not isinstance(node, nir.NIRGraph)
        assert tuple(node.output_type["output"]) == shapes[name]
        for field in parameters_of(node):
            assert getattr(node, field).shape == shapes[name]
            assert getattr(node, field).dtype in (np.float32, np.float64)


@settings(max_examples=examples(40))
@given(random_graphs(nested=2), st.randoms(use_true_random=False))
def test_normalising_twice_is_once_and_depends_on_no_order(made: nir.NIRGraph, random: Any) -> None:
    normal = normalise(made)
    again = normalise(normal, joined_input_shape(normal))
    assert list(again.nodes) == list(normal.nodes)
    assert again.edges == normal.edges
    assert_same_graph(again, normal)
    nodes, edges = list(made.nodes.items()), list(made.edges)
    random.shuffle(nodes)
    random.shuffle(edges)
    other = normalise(nir.NIRGraph(dict(nodes), edges, metadata=made.metadata, type_check=False))
    assert list(other.nodes) == list(normal.nodes)
    assert_same_graph(other, normal)


@settings(max_examples=examples(40))
@given(random_graphs(), st.randoms(use_true_random=False))
def test_equal_parameters_may_be_written_once(made: nir.NIRGraph, random: Any) -> None:
    """Parameters that are the same for all neurons may have any number of axes of size 1."""
    bare = copy.deepcopy(made)
    for node in bare.nodes.values():
        fields = parameters_of(node)
        for field in fields:
            value = getattr(node, field)
            if value.size and (value == value.flat[0]).all():
                axes = random.randint(0, value.ndim)
                setattr(node, field, np.full((1,) * axes, value.flat[0], value.dtype))
    assert_same_graph(normalise(bare, joined_input_shape(made)), normalise(made))


BROADCAST = {
    (): (np.float64(3.0), [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]),
    (1,): (np.array([3.0]), [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]),
    (3,): (np.array([1.0, 2.0, 3.0]), [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]),
    (2, 1): (np.array([[1.0], [2.0]]), [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]),
    (1, 2, 3): (np.arange(6.0).reshape(1, 2, 3), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    (4, 2, 1): (np.tile([[1.0], [2.0]], (4, 1, 1)), [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]),
}


@pytest.mark.parametrize("case", BROADCAST)
def test_a_parameter_is_broadcast_as_numpy_does(case: tuple[int, ...]) -> None:
    value, expected = BROADCAST[case]
    made = to_shape(value, (2, 3))
    np.testing.assert_array_equal(made, expected)
    assert made.flags.c_contiguous
    made[0, 0] = -1.0  # it shares nothing
    assert np.shape(value) == case


@pytest.mark.parametrize(
    "value", [np.ones(2), np.ones((3, 2)), np.arange(12.0).reshape(2, 2, 3), np.ones((2, 2))]
)
def test_what_would_be_a_guess_is_refused(value: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"is neither \(2, 3\) nor broadcasts to it"):
        to_shape(value, (2, 3))


def test_a_batch_axis_of_equal_parameters_is_said() -> None:
    """As old Sinabs writes them: the membrane's shape, batch included."""
    node = nir.IF(r=np.ones((4, 3)), v_threshold=np.full((4, 3), 0.5), v_reset=np.zeros((4, 3)))
    normal, notes = examine(chain(node, enters=shape(4, 3), leaves=shape(4, 3)), (3,))
    assert normal.nodes["n0"].v_threshold.tolist() == [0.5] * 3
    assert (
        sum("has shape (4, 3) and the same values throughout the first axes" in note for note in notes) == 3
    )


def test_integers_bools_and_tensors_become_floats_exactly() -> None:
    threshold = nir.Threshold(np.array([1, 2, 3], dtype=np.uint8))
    linear = nir.Linear(torch.ones(3, 3, dtype=torch.float16, requires_grad=True))
    scale = nir.Scale(np.array([True, False, True]))
    normal = normalise(chain(threshold, linear, scale, enters=shape(3)))
    assert [normal.nodes[name].__dict__[field].dtype for name, field in (
        ("n0", "threshold"), ("n1", "weight"), ("n2", "scale")
    )] == [np.float64] * 3  # fmt: skip
    assert normal.nodes["n2"].scale.tolist() == [1.0, 0.0, 1.0]


def test_windows_have_numbers_for_every_axis() -> None:
    conv = nir.Conv2d(None, np.ones((1, 1, 3, 3), np.float32), 1, "same", (1, 2), 1, np.zeros(1, np.float32))
    pool = nir.SumPool2d(2, np.array([2, 1]), 0)
    made = normalise(chain(conv, pool, enters=shape(1, 6, 6))).nodes
    assert (made["n0"].stride, made["n0"].padding, made["n0"].dilation) == ((1, 1), (1, 2), (1, 2))
    assert made["n0"].input_shape == (6, 6)
    assert [made["n1"].__dict__[field].tolist() for field in ("kernel_size", "stride", "padding")] == [
        [2, 2], [2, 1], [0, 0]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"tau": np.array([1.0, 0.0, 1.0])},
            r"node 'n0' \(LIF\): field 'tau' holds values that are not above 0",
        ),
        ({"r": np.array([1.0, np.nan, 1.0])}, "field 'r' is empty or holds NaN or infinite values"),
        ({"tau": np.full(3, np.inf)}, "neurons without a leak are an IF node with r = 1 / dt"),
        ({"r": np.full(3, 1j)}, "node 'n0'.*field 'r' has dtype complex128, must be numbers"),
        ({"r": np.full(3, -(2**53) - 1)}, "field 'r' holds integers beyond 2"),
    ],
)
def test_values_are_checked_as_in_files(change: dict[str, Any], match: str) -> None:
    node = lif(3)
    for field, value in change.items():
        setattr(node, field, value)
    with pytest.raises(GraphError, match=match):
        normalise(chain(node, enters=shape(3)))


def test_export_normalises_graphs() -> None:
    made = chain(lif(), enters=shape(1, 3), leaves=shape(1, 3))
    with pytest.raises(GraphError, match=r"student 's': node 'input' \(Input\): gets shape \(2,\)"):
        export_student(Student("s", made, "count"), (2,))
    exported = export_student(Student("s", made, "count"), (3,))
    assert exported.nodes["n0"].tau.shape == (3,)
    assert exported.nodes["output"].output_type["output"].tolist() == [3]


def test_dead_ends_are_said() -> None:
    made = chain(lif(3), enters=shape(3))
    made.nodes["lost"] = lif(3)
    made.edges.append(("n0", "lost"))
    assert examine(made)[1] == ("node 'lost' (LIF) leads nowhere: no output depends on it",)


def test_a_reset_voltage_of_none_is_as_one_that_no_file_holds():
    ones = np.ones(3)
    node = nir.LIF(tau=ones / 50, r=ones, v_leak=0 * ones, v_threshold=ones)
    node.v_reset = None
    nodes = {"input": nir.Input(np.array([3])), "lif": node, "output": nir.Output(np.array([3]))}
    graph = nir.NIRGraph(nodes, [("input", "lif"), ("lif", "output")], type_check=False)
    made = normalise(graph, (3,)).nodes["lif"]
    assert not made.v_reset.any()
    assert made.metadata["v_reset"] == "assumed"
    assert node.v_reset is None
