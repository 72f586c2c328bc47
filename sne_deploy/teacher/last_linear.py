"""A teacher's last linear map, found in its graph, and the graph of the features before it.

Both Gemm and MatMul, with or without an Add, are linear maps; a Softmax behind them is left out, so that the
logits are what it acts on. Runs in the child that :mod:`sne_deploy.teacher.process` starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.teacher.onnx_model import TeacherError, one_line

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[Any]
AFTER_LOGITS = ("Softmax", "LogSoftmax", "Identity", "Cast")
"""Operators that may stand between the linear map and the output: they keep the order of the classes."""
OF_CONSTANTS = ("Identity", "Transpose", "Cast", "Reshape", "Squeeze", "Unsqueeze", "DequantizeLinear")
"""Operators that a weight may have gone through; none makes it larger."""
MAX_CHAIN = 16
"""Operators in a row, of either kind."""


@dataclass(frozen=True, eq=False)
class Linear:
    """``features @ weight.T + bias``: the tensor's name, arrays of shape (classes, F) and (classes,)."""

    features: str
    weight: Array
    bias: Array


def cut_at_features(model: onnx.ModelProto, name: str) -> tuple[Linear, onnx.ModelProto]:
    """The linear map that makes the logits, and the model with the features as its only output."""
    last = _Graph(model, name).last_linear()
    return last, _cut(model, last.features, name)


def _cut(model: onnx.ModelProto, features: str, name: str) -> onnx.ModelProto:
    """The model with the features as its only output."""
    import onnx

    if features in {value.name for value in model.graph.input}:
        raise TeacherError(
            f"teacher {name!r}: its last linear map acts on the input itself; there are no features to learn"
        )
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise TeacherError(
            f"teacher {name!r}: shapes do not chain: {one_line(error)}; export it again"
        ) from error
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    kind = types.get(features) or onnx.TensorProto.FLOAT
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.output[:]
    cut.graph.output.append(onnx.helper.make_tensor_value_info(features, kind, None))
    return cut


class _Graph:
    """A graph, read backwards from its logits."""

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        self._name = name
        self._outputs = [value.name for value in model.graph.output]
        self._makers = {output: node for node in model.graph.node for output in node.output if output}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._opsets = list(model.opset_import)

    def last_linear(self) -> Linear:
        """Find the linear map that makes the logits."""
        logits = self._before_softmax(self._outputs[0] if len(self._outputs) == 1 else "logits")
        node, bias = self._makers.get(logits), None
        if node is not None and node.op_type == "Add":
            constants = [self._constant(entry) for entry in node.input]
            sides = [index for index, value in enumerate(constants) if value is not None]
            if len(sides) == 1:
                bias, node = constants[sides[0]], self._makers.get(node.input[1 - sides[0]])
        if node is None or node.op_type not in ("Gemm", "MatMul") or node.domain not in ("", "ai.onnx"):
            found = "nothing" if node is None else node.op_type
            raise self._refused(
                f"its output {logits!r} comes from {found}, not from Gemm or MatMul; students learn the "
                "features before a last linear map"
            )
        return self._linear(node, bias)

    def _before_softmax(self, name: str) -> str:
        """The tensor that the last operators, which keep the order of the classes, act on."""
        for _ in range(MAX_CHAIN):
            node = self._makers.get(name)
            if node is None or node.op_type not in AFTER_LOGITS:
                return name
            axis = _settings(node).get("axis", -1)
            if node.op_type.endswith("Softmax") and axis not in (-1, 1):
                raise self._refused(f"its last {node.op_type} is along axis {axis}, not along the classes")
            name = node.input[0]
        return name

    def _linear(self, node: onnx.NodeProto, bias: Array | None) -> Linear:
        weight = self._constant(node.input[1])
        if weight is None or weight.ndim != 2 or 0 in weight.shape or weight.dtype.kind != "f":
            raise self._refused(
                f"the second input of its last {node.op_type} is no constant matrix of weights"
            )
        settings = _settings(node)
        added = self._constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if settings.get("transA") or (len(node.input) > 2 and node.input[2] and added is None):
            raise self._refused(f"its last {node.op_type} has transA, or a bias that is not constant")
        if not settings.get("transB"):
            weight = weight.T
        weight = weight.astype(np.float64) * settings.get("alpha", 1.0)
        total = np.zeros(len(weight))
        for part, scale in ((added, settings.get("beta", 1.0)), (bias, 1.0)):
            if part is not None:
                total = total + self._row(part, len(weight)) * scale
        return Linear(node.input[0], weight.astype(np.float32), total.astype(np.float32))

    def _row(self, bias: Array, classes: int) -> Array:
        """A bias that is the same for every sample, shape (classes,)."""
        width = bias.shape[-1] if bias.ndim else 1
        if bias.size != width or width not in (1, classes):
            raise self._refused(f"its last bias has shape {bias.shape}, for {classes} classes")
        return np.broadcast_to(bias.reshape(-1).astype(np.float64), (classes,))

    def _constant(self, name: str) -> Array | None:
        """The value of an initializer or a Constant, also behind a few operators that only rearrange it."""
        from onnx import numpy_helper

        chain: list[onnx.NodeProto] = []
        source = name
        while source not in self._tensors:
            node = self._makers.get(source)
            if node is None or len(chain) == MAX_CHAIN or node.domain not in ("", "ai.onnx"):
                return None
            chain.insert(0, node)
            if node.op_type == "Constant" and not node.input:
                break
            others = [entry for entry in node.input[1:] if entry]
            if node.op_type not in OF_CONSTANTS or any(entry not in self._tensors for entry in others):
                return None
            source = node.input[0]
        return self._evaluated(chain) if chain else np.asarray(numpy_helper.to_array(self._tensors[name]))

    def _evaluated(self, chain: Sequence[onnx.NodeProto]) -> Array:
        """What operators of constants give, one after the other."""
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        name = chain[-1].output[0]
        known = {e: self._tensors[e] for node in chain for e in node.input if e in self._tensors}
        found = helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
        graph = helper.make_graph(chain, "constant", [], [found], list(known.values()))
        try:
            model = helper.make_model(graph, opset_imports=self._opsets)
            (value,) = ReferenceEvaluator(model).run([name], {})
            return np.asarray(value)
        except Exception as error:  # onnx's evaluator raises whatever NumPy does
            raise self._refused(f"{chain[-1].op_type} of its weights: {one_line(error)}") from error

    def _refused(self, reason: str) -> TeacherError:
        return TeacherError(f"teacher {self._name!r}: {reason}; export a plain linear layer at its end")


def _settings(node: onnx.NodeProto) -> dict[str, float]:
    """Numbers among an operator's attributes, by name."""
    import onnx

    whole, real = onnx.AttributeProto.INT, onnx.AttributeProto.FLOAT
    numbers = [entry for entry in node.attribute if entry.type in (whole, real)]
    return {entry.name: float(entry.i if entry.type == whole else entry.f) for entry in numbers}
