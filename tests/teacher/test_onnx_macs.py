"""MACs of ONNX graphs: by hand, against a brute-force definition, and against torch's own counter."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from sne_deploy.teacher.onnx_macs import NO_MACS, MacCount, count_macs


def graph_model(
    nodes: list[Any], shape: list[int], weights: dict[str, tuple[int, ...]], **kwargs: Any
) -> onnx.ModelProto:
    """A model from input ``x`` of that shape to ``y``, with weights of 1."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in weights.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, **kwargs)


def macs(nodes: list[Any], shape: list[int], weights: dict[str, tuple[int, ...]], **kwargs: Any) -> MacCount:
    model = graph_model(nodes, shape, weights, **kwargs)
    return count_macs(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


def conv(**attributes: Any) -> list[Any]:
    return [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)]


@pytest.mark.parametrize(
    ("attributes", "weight", "expected"),
    [
        ({}, (4, 3, 3, 3), 4 * 6 * 4 * 27),
        ({"pads": [1, 1, 1, 1]}, (4, 3, 3, 3), 4 * 8 * 6 * 27),
        ({"strides": [2, 2]}, (4, 3, 3, 3), 4 * 3 * 2 * 27),
        ({"group": 3}, (6, 1, 3, 3), 6 * 6 * 4 * 9),
        ({"dilations": [2, 1]}, (4, 3, 3, 2), 4 * 4 * 5 * 18),
    ],
)
def test_convolution_by_hand(attributes: dict[str, Any], weight: tuple[int, ...], expected: int) -> None:
    found = macs(conv(**attributes), [1, 3, 8, 6], {"w": weight})
    assert found == MacCount(expected, {"Conv": expected}, ())


def test_transposed_convolution_by_hand() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    assert macs([node], [1, 3, 5, 4], {"w": (3, 7, 2, 3)}).total == 3 * 5 * 4 * 7 * 6


@given(m=st.integers(1, 5), k=st.integers(1, 5), n=st.integers(1, 5), a=st.booleans(), b=st.booleans())
def test_gemm_counts_every_product(m: int, k: int, n: int, a: bool, b: bool) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transA=int(a), transB=int(b))
    found = macs([node], [k, m] if a else [m, k], {"w": (n, k) if b else (k, n)})
    assert found.per_operator == {"Gemm": m * k * n}


@given(
    batch=st.lists(st.integers(1, 4), max_size=2),
    m=st.integers(1, 4),
    k=st.integers(1, 4),
    n=st.integers(1, 4),
)
def test_batched_matmul_counts_every_product(batch: list[int], m: int, k: int, n: int) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert macs([node], [*batch, m, k], {"w": (k, n)}).total == math.prod(batch) * m * k * n


def test_vector_matmul_is_one_inner_product() -> None:
    assert macs([helper.make_node("MatMul", ["x", "w"], ["y"])], [7], {"w": (7,)}).total == 7


def test_batch_norm_folds_after_a_convolution_and_counts_elsewhere() -> None:
    norm = dict.fromkeys(("scale", "shift", "mean", "var"), (4,))
    after = [
        helper.make_node("Conv", ["x", "w"], ["h"]),
        helper.make_node("BatchNormalization", ["h", *norm], ["y"]),
    ]
    assert macs(after, [1, 3, 4, 4], {"w": (4, 3, 1, 1), **norm}).per_operator == {"Conv": 4 * 16 * 3}
    first = [helper.make_node("BatchNormalization", ["x", *norm], ["y"])]
    assert macs(first, [1, 4, 3, 3], norm).per_operator == {"BatchNormalization": 36}


def test_every_operator_is_counted_known_or_listed() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("LpNormalization", ["a"], ["b"]),
        helper.make_node("LpNormalization", ["b"], ["c"]),
        helper.make_node("Anything", ["c"], ["d"], domain="own"),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    found = macs(nodes, [1, 4], {"w": (4, 2)})
    assert found == MacCount(0, {}, ("LpNormalization x2", "MatMul (unknown shape)", "own::Anything"))


def test_control_flow_is_listed() -> None:
    body = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["inner"])],
        "body",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body),
    ]
    assert macs(nodes, [1, 4], {"w": (4, 2)}) == MacCount(0, {}, ("If",))


def test_a_function_that_takes_a_standard_name_is_listed() -> None:
    function = helper.make_function(
        "", "Relu", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 20)]
    )
    model = graph_model([helper.make_node("Relu", ["x"], ["y"])], [1, 4], {}, functions=[function])
    assert count_macs(model).uncounted == ("::Relu",)


def test_names_without_macs_are_operators_of_the_standard() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    # Swish is younger than the oldest supported onnx.
    assert NO_MACS - {"Swish"} <= known


def test_equals_torchs_own_counter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, stride=2, groups=4, bias=False),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 16),
        torch.nn.ReLU(),
        torch.nn.Linear(16, 10),
    ).eval()
    example = torch.randn(1, 2, 7, 7)
    with FlopCounterMode(display=False) as counter:
        network(example)
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own deprecations
        torch.onnx.export(network, (example,), path, dynamo=True, external_data=False, verbose=False)
    found = count_macs(onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True))
    assert found.uncounted == ()
    assert 2 * found.total == counter.get_total_flops()


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers_count_their_products_at_every_step(kind: str, gates: int, directions: int) -> None:
    steps, batch, inputs, hidden = 6, 2, 5, 3
    node = helper.make_node(
        kind,
        ["x", "w", "r"],
        ["y"],
        hidden_size=hidden,
        direction="forward" if directions == 1 else "bidirectional",
    )
    weights = {"w": (directions, gates * hidden, inputs), "r": (directions, gates * hidden, hidden)}
    by_hand = sum(
        hidden * (inputs + hidden)
        for _step in range(steps)
        for _sample in range(batch)
        for _direction in range(directions)
        for _gate in range(gates)
    )
    assert macs([node], [steps, batch, inputs], weights) == MacCount(by_hand, {kind: by_hand}, ())
