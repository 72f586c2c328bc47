"""A teacher from an ONNX file: the same logits, the same MACs as torch counts, and files that are refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # ships no types
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sne_deploy.distill.schema.teacher import TeacherModel
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.teacher.onnx_teacher import load_onnx_teacher
from sne_deploy.errors import InputError
from sne_deploy.teacher.onnx_model import TeacherError
from sne_deploy.teacher.run import evaluate_teacher
from tests.docs.pages import DOCS, blocks
from tests.teacher_in_process import teachers_in_this_process

INPUTS, FEATURES, CLASSES = 6, 5, 3
RANDOM = np.random.default_rng(0)
HIDDEN = RANDOM.normal(size=(INPUTS, FEATURES))
WEIGHT = RANDOM.normal(size=(FEATURES, CLASSES))
BIAS = RANDOM.normal(size=CLASSES)
X = RANDOM.random((4, INPUTS))
WANTED_FEATURES = np.maximum(X @ HIDDEN, 0)


def graph(
    nodes: list[Any],
    tensors: dict[str, np.ndarray],
    *,
    kind: type = np.float32,
    batch: Any = "N",
    opset: int = 17,
) -> onnx.ModelProto:
    """A graph from ``x`` to ``y``: features = relu(x HIDDEN), then the nodes."""
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    first = [
        helper.make_node("MatMul", ["x", "hidden"], ["h"]),
        helper.make_node("Relu", ["h"], ["features"]),
    ]
    tensors = {"hidden": HIDDEN.astype(kind), **tensors}
    made = helper.make_graph(
        [*first, *nodes],
        "teacher",
        [helper.make_tensor_value_info("x", dtype, [batch, INPUTS])],
        [helper.make_tensor_value_info("y", dtype, [batch, None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def saved(model: onnx.ModelProto, folder: Path, name: str = "teacher.onnx") -> Path:
    (folder / name).write_bytes(model.SerializeToString())
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("teachers")


def last_map(form: str, bias: bool, to: str) -> tuple[list[Any], dict[str, np.ndarray], np.ndarray]:
    """Nodes from ``features`` to a tensor, their tensors, and the logits."""
    logits = WANTED_FEATURES @ WEIGHT + (BIAS if bias else 0)
    if form.startswith("gemm"):
        tensors = {"w": WEIGHT.T if form == "gemm-transposed" else WEIGHT, **({"b": BIAS} if bias else {})}
        more: dict[str, Any] = {"transB": 1} if form == "gemm-transposed" else {}
        if form == "gemm-scaled":
            more |= {"alpha": 0.5, "beta": 2.0}
            logits = 0.5 * WANTED_FEATURES @ WEIGHT + (2.0 * BIAS if bias else 0)
        return [helper.make_node("Gemm", ["features", *tensors], [to], **more)], tensors, logits
    if not bias:
        return [helper.make_node("MatMul", ["features", "w"], [to])], {"w": WEIGHT}, logits
    sides = ["b", "p"] if form == "matmul-left" else ["p", "b"]
    product = helper.make_node("MatMul", ["features", "w"], ["p"])
    return [product, helper.make_node("Add", sides, [to])], {"w": WEIGHT, "b": BIAS[None]}, logits


@given(data=st.data())
def test_logits_of_every_form_of_linear_map(data: st.DataObject, folder: Path) -> None:
    form = data.draw(st.sampled_from(["gemm", "gemm-transposed", "gemm-scaled", "matmul", "matmul-left"]))
    kind = data.draw(st.sampled_from([np.float32, np.float64]))
    after = data.draw(st.lists(st.sampled_from(["Softmax", "LogSoftmax", "Identity"]), max_size=2))
    nodes, tensors, logits = last_map(form, data.draw(st.booleans()), "t0" if after else "y")
    weights = {name: value.astype(kind) for name, value in tensors.items()}
    for index, operator in enumerate(after):
        more = data.draw(st.sampled_from([{}, {"axis": 1}, {"axis": -1}])) if "Soft" in operator else {}
        end = "y" if index == len(after) - 1 else f"t{index + 1}"
        nodes.append(helper.make_node(operator, [f"t{index}"], [end], **more))
    how = data.draw(st.sampled_from(["tensor", "constant", "transposed", "cast", "reshaped"]))
    if how == "constant":
        nodes.insert(
            0, helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weights.pop("w")))
        )
    elif how == "transposed":
        weights["v"] = weights.pop("w").T.copy()
        nodes.insert(0, helper.make_node("Transpose", ["v"], ["w"], perm=[1, 0]))
    elif how == "cast":
        weights["v"] = weights.pop("w").astype(np.float64)
        to = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        nodes[:0] = [
            helper.make_node("Identity", ["v"], ["u"]),
            helper.make_node("Cast", ["u"], ["w"], to=to),
        ]
    elif how == "reshaped":
        weights["size"] = np.array(weights["w"].shape)
        weights["v"] = weights.pop("w").ravel()
        nodes.insert(0, helper.make_node("Reshape", ["v", "size"], ["w"]))
    batch, opset = data.draw(st.sampled_from(["N", 1, 3, 4, 9])), data.draw(st.sampled_from([11, 13, 17, 21]))
    path = saved(graph(nodes, weights, kind=kind, batch=batch, opset=opset), folder)
    with teachers_in_this_process():
        teacher = load_onnx_teacher(path)
        x = torch.from_numpy(X.astype(np.float32))
        np.testing.assert_allclose(teacher.features(x).numpy(), WANTED_FEATURES, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(teacher(x).numpy(), logits, rtol=1e-4, atol=1e-5)


class _Block(nn.Module):
    """One transformer block over patches, and the mean over them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Linear(16, 12)
        self.three = nn.Linear(12, 36)
        self.out = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.patches(x.reshape(x.shape[0], -1, 16))
        q, k, v = self.three(rows).chunk(3, dim=-1)
        weights = torch.softmax(q @ k.transpose(1, 2) / 12**0.5, dim=-1)
        return (rows + self.out(weights @ v)).mean(dim=1)


def mobile() -> nn.Module:
    """Depthwise and pointwise convolutions, clipped and smooth activations, two kinds of pools."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.Hardswish(),
        nn.Conv2d(8, 12, 1),
        nn.AvgPool2d(2),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )


class _Branches(nn.Module):
    """Two branches joined along the channels, a sum around a convolution, the largest value of each map."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 5, 5, padding=2, dilation=1)
        self.c = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.relu(torch.cat([self.a(x), self.b(x)], dim=1))
        y = joined + self.c(joined)
        logits: Tensor = self.last(torch.amax(nn.functional.max_pool2d(y, 2), dim=(2, 3)))
        return logits


def resnet9() -> nn.Module:
    return teacher_network(TeacherModel(architecture="resnet9", width=4, features=6), (2, 16, 16), 10)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet9": resnet9,
    "mobile": mobile,
    "branches": _Branches,
    "attention": lambda: nn.Sequential(_Block(), nn.ReLU(), nn.Linear(12, 10)),
}


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_torch_exports(name: str, dynamo: bool, folder: Path) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    x = torch.rand(3, 2, 16, 16)
    path = folder / f"{name}-{dynamo}.onnx"
    free: dict[str, Any] = (
        {"dynamic_shapes": ({0: torch.export.Dim("N")},), "external_data": False}
        if dynamo
        else {"dynamic_axes": {"x": {0: "N"}}}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn about their own deprecations
        torch.onnx.export(network, (x,), path, input_names=["x"], dynamo=dynamo, verbose=False, **free)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x[:1])
    with torch.no_grad():
        wanted = network(x).numpy()
    np.testing.assert_allclose(load_onnx_teacher(path)(x).numpy(), wanted, rtol=1e-3, atol=1e-4)
    found = evaluate_teacher(path, x.numpy(), None)
    # A batch norm that nothing folds multiplies too; torch's counter leaves those products out.
    products = found.macs - found.macs_per_operator.get("BatchNormalization", 0)
    assert found.uncounted == ()
    assert 2 * products == counter.get_total_flops()


def test_what_the_page_exports_can_teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (block.code for block in blocks(DOCS / "onnx_teacher.md") if "onnx.export" in block.code)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own deprecations
        exec(code, {})  # noqa: S102  the page's own code
    assert [path.name for path in tmp_path.iterdir()] == ["mine.onnx"]
    assert load_onnx_teacher(tmp_path / "mine.onnx").classifier.in_features == 32


def refused(path: Path, *parts: str) -> None:
    with pytest.raises(TeacherError) as caught:
        load_onnx_teacher(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (path.name, *parts):
        assert part in message


W = {"w": WEIGHT.astype(np.float32)}


@pytest.mark.parametrize(
    ("nodes", "tensors", "parts"),
    [
        ([helper.make_node("Relu", ["features"], ["y"])], {}, ["comes from Relu, not from Gemm or MatMul"]),
        ([helper.make_node("Add", ["features", "features"], ["y"])], {}, ["comes from Add"]),
        (
            [helper.make_node("MatMul", ["features", "features"], ["y"])],
            {},
            ["its last MatMul is no constant"],
        ),
        (
            [helper.make_node("Abs", ["w"], ["v"]), helper.make_node("MatMul", ["features", "v"], ["y"])],
            W,
            ["second input of its last MatMul is no constant matrix"],
        ),
        (
            [helper.make_node("Gemm", ["features", "w"], ["y"], transA=1)],
            {"w": np.ones((4, 3), np.float32)},
            ["its last Gemm has transA"],
        ),
        (
            [helper.make_node("Gemm", ["features", "w", "b"], ["y"])],
            {**W, "b": np.ones((4, 3), np.float32)},
            ["bias has shape (4, 3), for 3 classes"],
        ),
        (
            [
                helper.make_node("MatMul", ["features", "w"], ["z"]),
                helper.make_node("Softmax", ["z"], ["y"], axis=0),
            ],
            W,
            ["its last Softmax is along axis 0"],
        ),
        (
            [helper.make_node("MatMul", ["x", "v"], ["y"])],
            {"v": np.ones((INPUTS, 2), np.float32)},
            ["the input itself"],
        ),
        ([helper.make_node("Mystery", ["features"], ["y"])], {}, ["is not a valid ONNX model", "Mystery"]),
    ],
)
def test_no_linear_map_at_the_end(
    nodes: list[Any], tensors: dict[str, Any], parts: list[str], folder: Path
) -> None:
    refused(saved(graph(nodes, tensors), folder, "odd.onnx"), *parts)


def test_an_operator_of_another_domain(folder: Path) -> None:
    nodes = [
        helper.make_node("Secret", ["features"], ["s"], domain="com.example"),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    model = graph(nodes, W)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    refused(saved(model, folder, "own.onnx"), "Secret")


def test_broken_graphs(folder: Path) -> None:
    linear = helper.make_node("MatMul", ["features", "w"], ["y"])
    refused(saved(graph([linear], {}), folder, "missing.onnx"), "is not a valid ONNX model")
    cycle = [helper.make_node("Abs", ["b"], ["a"]), helper.make_node("Abs", ["a"], ["b"]), linear]
    refused(saved(graph(cycle, W), folder, "cycle.onnx"), "is not a valid ONNX model")
    twice = graph([linear, linear], W)
    refused(saved(twice, folder, "twice.onnx"), "is not a valid ONNX model")
    huge = graph([linear], W)
    huge.graph.initializer[-1].dims[:] = [2**40, 2**40]
    refused(saved(huge, folder, "huge.onnx"))
    outside = graph([linear], W)
    tensor = outside.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="passwords")
    refused(saved(outside, folder, "outside.onnx"), "keeps tensors in other files, which are never opened")


@given(data=st.data())
def test_a_damaged_file_is_one_line_or_a_teacher(data: st.DataObject, folder: Path) -> None:
    nodes, tensors, _ = last_map("gemm", True, "t")
    weights = {name: value.astype(np.float32) for name, value in tensors.items()}
    softmax = helper.make_node("Softmax", ["t"], ["y"])
    content = bytearray(graph([*nodes, softmax], weights).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = folder / "damaged.onnx"
    path.write_bytes(bytes(content))
    message, rows = "", len(X)
    try:
        with teachers_in_this_process():
            rows = len(load_onnx_teacher(path)(torch.from_numpy(X.astype(np.float32))))
            evaluate_teacher(path, X, None)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert rows == len(X)


def test_what_a_session_of_its_own_gives(folder: Path) -> None:
    """The oracle of the logits above is NumPy; this is onnxruntime on the uncut file."""
    nodes, tensors, _ = last_map("gemm-transposed", True, "y")
    path = saved(graph(nodes, {n: v.astype(np.float32) for n, v in tensors.items()}), folder)
    (wanted,) = onnxruntime.InferenceSession(path).run(None, {"x": X.astype(np.float32)})
    found = load_onnx_teacher(path)(torch.from_numpy(X.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
