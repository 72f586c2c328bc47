"""Another's teacher, from an ONNX file: its logits, the features before its last linear map, that map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sne_deploy.distill.teacher import Teacher
from sne_deploy.onnx_model import TeacherError, parse_onnx, read_onnx
from sne_deploy.teacher import input_layout, open_session, run_session

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[Any]


class OnnxFeatures(nn.Module):
    """Features of an ONNX graph, computed by onnxruntime on the CPU; nothing in it can be trained."""

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        super().__init__()
        self._model, self._name = model, name
        self._session = open_session(model.SerializeToString(), name)

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (N, F) of samples of shape (N, ...)."""
        batch, shape = input_layout(self._model, self._name, tuple(x.shape[1:]))
        rows = run_session(self._session, self._name, x.numpy().reshape(len(x), *shape), batch)
        return torch.from_numpy(np.asarray(rows, np.float32))


def load_onnx_teacher(path: Path) -> Teacher:
    """Read a teacher that ends in a linear map: Gemm, or MatMul and perhaps Add.

    Parameters
    ----------
    path : Path
        One input [batch, ...]; one output [batch, classes], or one of them named ``logits``.

    Raises
    ------
    TeacherError
        The file cannot be used, or its logits do not come from a linear map with constant weights.
    """
    model = parse_onnx(read_onnx(path), path.name)
    features, weight, bias = _last_linear(model, path.name)
    import onnx

    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.output[:]
    cut.graph.output.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, None))
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(weight))
        classifier.bias.copy_(torch.from_numpy(bias))
    teacher = Teacher(OnnxFeatures(cut, path.name), classifier)
    return teacher.requires_grad_(False).eval()


def _last_linear(model: onnx.ModelProto, name: str) -> tuple[str, Array, Array]:
    """The features' tensor name, the weights (classes, F) and the bias (classes,) of the last map."""
    makers = {output: node for node in model.graph.node for output in node.output}
    outputs = [value.name for value in model.graph.output]
    logits = outputs[0] if len(outputs) == 1 else "logits"
    node = makers.get(logits)
    bias: Array | None = None
    if node is not None and node.op_type == "Add":
        constant = [entry for entry in node.input if _constant(model, entry) is not None]
        other = [entry for entry in node.input if entry not in constant]
        if len(constant) == 1 and len(other) == 1:
            bias, node = _constant(model, constant[0]), makers.get(other[0])
    weight = None if node is None or len(node.input) < 2 else _constant(model, node.input[1])
    if node is None or node.op_type not in ("Gemm", "MatMul") or weight is None or weight.ndim != 2:
        found = "nothing" if node is None else node.op_type
        raise TeacherError(
            f"teacher {name!r}: its output {logits!r} comes from {found}, not from Gemm or MatMul with "
            "constant weights; students learn the features before a last linear layer"
        )
    settings = {attribute.name: attribute for attribute in node.attribute}
    scales = [settings[key].f for key in ("alpha", "beta") if key in settings]
    if any(value != 1.0 for value in scales) or ("transA" in settings and settings["transA"].i):
        raise TeacherError(f"teacher {name!r}: its last Gemm has alpha, beta or transA; export a plain layer")
    if node.op_type == "MatMul" or not ("transB" in settings and settings["transB"].i):
        weight = weight.T
    if node.op_type == "Gemm" and len(node.input) > 2:
        bias = _constant(model, node.input[2])
    bias = np.zeros(len(weight)) if bias is None else np.broadcast_to(bias.reshape(-1), (len(weight),))
    return node.input[0], np.array(weight, np.float32), np.array(bias, np.float32)


def _constant(model: onnx.ModelProto, name: str) -> Array | None:
    """The value of an initializer."""
    from onnx import numpy_helper

    found = next((tensor for tensor in model.graph.initializer if tensor.name == name), None)
    return None if found is None else np.asarray(numpy_helper.to_array(found))
