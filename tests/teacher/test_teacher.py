"""The teacher: accuracy and MACs of small ONNX files, and the files that are refused."""

from __future__ import annotations

import os
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

import sne_deploy.teacher.onnx_model
from sne_deploy.errors import DataError, InputError
from sne_deploy.teacher.onnx_macs import MacCount
from sne_deploy.teacher.onnx_model import TeacherError
from sne_deploy.teacher.run import TeacherResult, count_network, evaluate_teacher
from tests.teacher_in_process import teachers_in_this_process

OPSETS = [helper.make_opsetid("", 20)]


def model(
    nodes: list[Any],
    shape: list[Any],
    weights: dict[str, np.ndarray],
    *,
    outputs: tuple[str, ...] = ("y",),
    inputs: tuple[str, ...] = ("x",),
    rank: int = 2,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info(name, dtype, shape) for name in inputs],
        [helper.make_tensor_value_info(name, dtype, [None] * rank) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=9)


def dense(shape: list[Any], n: int, **kwargs: Any) -> onnx.ModelProto:
    """Logits are the inputs themselves."""
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], shape, {"w": np.eye(n, dtype=np.float32)}, **kwargs
    )


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    def save(proto: onnx.ModelProto) -> Path:
        path = tmp_path / "teacher.onnx"
        path.write_bytes(proto.SerializeToString())
        return path

    return save


X = np.array([[3, 1, 0], [0, 2, 1], [0, 1, 2], [5, 0, 0], [0, 1, 0]], np.float64)
Y = np.array([0, 1, 2, 1, 1])


@pytest.mark.parametrize("batch", ["N", None, 1, 2, 5, 7])
def test_accuracy_and_macs_whatever_the_batch_dimension(saved: Any, batch: Any) -> None:
    found = evaluate_teacher(saved(dense([batch, 3], 3)), X, Y)
    assert found == TeacherResult(0.8, 9, {"MatMul": 9}, (), 5)


def test_without_labels_there_is_no_accuracy(saved: Any) -> None:
    assert evaluate_teacher(saved(dense(["N", 3], 3)), X, None).accuracy is None


def test_doubles_are_fine(saved: Any) -> None:
    proto = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], ["N", 3], {"w": np.eye(3)}, dtype=TensorProto.DOUBLE
    )
    assert evaluate_teacher(saved(proto), X, Y).accuracy == 0.8


def test_samples_are_reshaped_where_the_sizes_agree(saved: Any) -> None:
    assert evaluate_teacher(saved(dense(["N", 3], 3)), X.reshape(5, 1, 3), Y).accuracy == 0.8
    flat = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    proto = model(flat, ["N", 1, 3], {"w": np.eye(3, dtype=np.float32)})
    assert evaluate_teacher(saved(proto), X, Y).accuracy == 0.8


def test_samples_are_not_reshaped_into_another_order(saved: Any) -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    path = saved(model(nodes, ["N", 6, 6, 3], {"w": np.ones((108, 3), np.float32)}))
    refused(
        path,
        r"input \[\?, 6, 6, 3\] has the values of samples of shape \(3, 6, 6\) in another order: "
        r"export it for that shape, with a transpose in front where it wants channels last",
        np.ones((5, 3, 6, 6)),
    )
    for shape in ((108,), (6, 6, 3), (1, 6, 6, 3)):
        assert evaluate_teacher(path, np.ones((5, *shape)), Y).accuracy is not None


def test_free_dimensions_take_the_samples_sizes(saved: Any) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    proto = model(nodes, ["N", 2, "h", "w"], {"k": np.ones((4, 2, 3, 3), np.float32)})
    found = evaluate_teacher(saved(proto), np.ones((3, 2, 6, 5)), None)
    assert found.macs == 4 * 30 * 18
    with pytest.raises(
        TeacherError, match=r"input \[\?, 2, \?, \?\] does not fit samples of shape \(3, 6, 5\)"
    ):
        evaluate_teacher(saved(proto), np.ones((3, 3, 6, 5)), None)


def test_of_several_outputs_the_one_named_logits_is_used(saved: Any) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["features"]), helper.make_node("MatMul", ["x", "w"], ["logits"])]
    eye = {"w": np.eye(3, dtype=np.float32)}
    assert (
        evaluate_teacher(saved(model(nodes, ["N", 3], eye, outputs=("features", "logits"))), X, Y).accuracy
        == 0.8
    )
    nodes[1] = helper.make_node("MatMul", ["x", "w"], ["scores"])
    with pytest.raises(TeacherError, match=r"2 outputs \('features', 'scores'\) and none is named 'logits'"):
        evaluate_teacher(saved(model(nodes, ["N", 3], eye, outputs=("features", "scores"))), X, Y)


def test_what_is_not_counted_is_listed_and_still_runs(saved: Any) -> None:
    nodes = [helper.make_node("LpNormalization", ["x"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])]
    found = evaluate_teacher(saved(model(nodes, ["N", 3], {"w": np.eye(3, dtype=np.float32)})), X, Y)
    assert (found.accuracy, found.macs, found.uncounted) == (0.8, 9, ("LpNormalization",))


def test_a_network_exported_by_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(256, 10)
    ).eval()
    path = tmp_path / "teacher.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own deprecations
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, 8, 8),),
            path,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    x = np.random.default_rng(0).random((130, 64))
    with torch.no_grad():
        y = network(torch.tensor(x, dtype=torch.float32).reshape(-1, 1, 8, 8)).argmax(1).numpy()
    found = evaluate_teacher(path, x, y)
    assert (found.accuracy, found.macs, found.uncounted) == (1.0, 4 * 64 * 9 + 2560, ())
    assert evaluate_teacher(path, x, (y + 1) % 10).accuracy == 0.0


def refused(path: Path, message: str, x: Any = X, y: Any = Y, kind: type[InputError] = TeacherError) -> None:
    with pytest.raises(kind, match=message) as caught:
        evaluate_teacher(path, x, y)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([], r"input \[\] must be \[batch, \.\.\.\]"),
        ([3], r"input \[3\] must be \[batch, \.\.\.\]"),
        (["N", 0], r"input \[\?, 0\] must be .* positive sizes"),
        (["N", 4], r"input \[\?, 4\] does not fit samples of shape \(3,\)"),
        ([2**17, 3], "fixed batch 131072 exceeds 65536; export with a free batch"),
    ],
)
def test_inputs_of_another_shape(saved: Any, shape: list[Any], message: str) -> None:
    refused(saved(model([helper.make_node("Identity", ["x"], ["y"])], shape, {})), message)


def test_inputs_and_outputs_of_another_kind(saved: Any) -> None:
    two = model([helper.make_node("Add", ["x", "z"], ["y"])], ["N", 3], {}, inputs=("x", "z"))
    refused(saved(two), r"has 2 inputs \('x', 'z'\); it must have exactly one")
    whole = model([helper.make_node("Identity", ["x"], ["y"])], ["N", 3], {}, dtype=TensorProto.INT64)
    refused(saved(whole), r"input is tensor\(int64\), not tensor\(float\) or tensor\(double\)")
    flat = model([helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], ["N", 3], {}, rank=0)
    refused(
        saved(flat), r"output 'y' is float32 of shape \(\) for 1 samples; it must be .* \[batch, classes\]"
    )
    infinite = model([helper.make_node("Log", ["x"], ["y"])], ["N", 3], {})
    refused(saved(infinite), "output 'y' is not finite")


def test_samples_and_labels_that_do_not_fit(saved: Any) -> None:
    path = saved(dense(["N", 3], 3))
    refused(path, "there are no samples", x=X[:0], y=Y[:0], kind=DataError)
    refused(path, r"labels of shape \(2,\) do not fit 5 samples", y=Y[:2], kind=DataError)
    refused(path, "labels 0 to 3 do not fit its 3 classes", y=np.array([0, 1, 2, 3, 0]), kind=DataError)
    refused(path, "labels -1 to 2 do not fit", y=np.array([0, 1, 2, -1, 0]), kind=DataError)


def test_files_that_are_no_onnx(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "cannot read teacher .*No such file")
    refused(tmp_path, "it is a folder, not a file")
    os.mkfifo(tmp_path / "fifo.onnx")
    refused(tmp_path / "fifo.onnx", "it is a pipe, not a file")
    for data in (b"", b"PK\x03\x04", bytes(1000), b"\xff" * 100):
        (tmp_path / "junk.onnx").write_bytes(data)
        refused(tmp_path / "junk.onnx", "is not an? (valid )?ONNX model: .*; export it again")


def test_a_truncated_file(saved: Any) -> None:
    path = saved(dense(["N", 3], 3))
    data = path.read_bytes()
    for length in range(1, len(data), 7):
        path.write_bytes(data[:length])
        with teachers_in_this_process(), pytest.raises(InputError) as caught:
            evaluate_teacher(path, X, Y)
        assert "\n" not in str(caught.value)


@given(data=st.data())
def test_a_damaged_file_never_escapes_as_another_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    proto = bytearray(dense(["N", 3], 3).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        proto[data.draw(st.integers(0, len(proto) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(bytes(proto))
    message = ""
    try:
        with teachers_in_this_process():
            evaluate_teacher(path, X, Y)
    except InputError as error:
        message = str(error)
    assert "\n" not in message


def test_a_file_that_is_too_large(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sne_deploy.teacher.onnx_model, "MAX_FILE_BYTES", 100)
    refused(saved(dense(["N", 3], 3)), "bytes, more than the limit of 100")


@pytest.mark.parametrize("where", ["initializer", "attribute", "sub-graph", "function"])
def test_external_data_is_refused_wherever_it_hides(saved: Any, tmp_path: Path, where: str) -> None:
    (tmp_path / "secret").write_bytes(np.eye(3, dtype=np.float32).tobytes())
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[3, 3], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="secret")
    constant = helper.make_node("Constant", [], ["w"])
    constant.attribute.append(onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor))
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    proto = model([product], ["N", 3], {})
    if where == "initializer":
        proto.graph.initializer.append(tensor)
    elif where == "attribute":
        proto.graph.node.insert(0, constant)
    elif where == "sub-graph":
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])
        body = helper.make_graph([constant, product], "body", [], [output])
        proto = model(
            [helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)],
            ["N", 3],
            {"yes": np.array(True)},
        )
    else:
        proto.functions.append(
            helper.make_function("own", "Product", ["x"], ["y"], [constant, product], OPSETS)
        )
    refused(saved(proto), "keeps tensors in other files, which are never opened; export it into one file")


def test_shapes_that_do_not_chain(saved: Any) -> None:
    proto = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], ["N", 3], {"w": np.ones((4, 2), np.float32)}
    )
    refused(saved(proto), "shapes do not chain: .*MatMul")


def test_a_graph_that_fails_when_it_runs(saved: Any) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["w", "i"], ["y"]),
    ]
    proto = model(nodes, ["N", 3], {"w": np.ones(2, np.float32)})
    refused(saved(proto), "onnxruntime cannot run it: .*Gather")


def test_a_fixed_batch_whose_work_cannot_be_shared_out(saved: Any) -> None:
    nodes = [helper.make_node("MatMul", ["w", "v"], ["row"]), helper.make_node("Add", ["x", "row"], ["y"])]
    proto = model(nodes, [2, 3], {"w": np.ones((1, 3), np.float32), "v": np.eye(3, dtype=np.float32)})
    refused(
        saved(proto), "9 MACs for a fixed batch of 2 are no whole number per sample; export with a free batch"
    )


def test_an_unknown_operator(saved: Any) -> None:
    proto = model([helper.make_node("NoSuchOperator", ["x"], ["y"])], ["N", 3], {})
    refused(saved(proto), "is not a valid ONNX model: .*NoSuchOperator")


def test_a_tensor_of_a_trillion_elements_is_refused_before_it_is_made(saved: Any) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    proto = model(nodes, ["N", 3], {"size": np.array([10**6, 10**6], np.int64)})
    refused(saved(proto), "tensor 'huge' has 1000000000000 elements, more than the limit of")


@pytest.mark.parametrize("batch", ["N", 1, 7])
def test_any_network_is_counted_by_the_sizes_that_it_states(saved: Any, batch: Any) -> None:
    wide = model(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        [batch, 3, 8, 6],
        {"w": np.ones((4, 3, 3, 3), np.float32)},
        rank=4,
    )
    with teachers_in_this_process():
        found = count_network(saved(wide))
    assert found == MacCount(4 * 6 * 4 * 27, {"Conv": 4 * 6 * 4 * 27}, ())


def test_shapes_that_only_a_run_knows_are_observed(saved: Any) -> None:
    """The shape of what NonZero finds depends on numbers: a run of zeros finds none."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["w", "f"], ["y"]),
    ]
    with teachers_in_this_process():
        found = count_network(saved(model(nodes, ["N", 3], {"w": np.ones((5, 2), np.float32)})))
    assert found == MacCount(0, {"MatMul": 0}, ())


def test_a_network_that_leaves_more_than_the_batch_free_is_not_counted(saved: Any) -> None:
    with (
        teachers_in_this_process(),
        pytest.raises(TeacherError, match=r"input \[\?, \?\] leaves more than the batch free; export it"),
    ):
        count_network(saved(dense(["N", None], 3)))


def test_a_teacher_counts_the_same_as_any_network(saved: Any) -> None:
    path = saved(dense(["N", 3], 3))
    assert count_network(path).total == evaluate_teacher(path, X, Y).macs
