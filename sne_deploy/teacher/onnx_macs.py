"""Multiply-accumulates of an ONNX graph, counted from its inferred shapes.

A MAC is one product added to a sum: convolutions and matrix products have them. Every other operator
either is known to have none (activations, element-wise arithmetic, pooling by sums and maxima, moving of
data) or is listed as uncounted: normalisations that depend on the sample, control flow with its sub-graphs,
operators of other domains, and a convolution or product whose shapes are unknown (they are known where the
model can be run: see sne_deploy.teacher.run).
Border positions count as the dense operator computes them: padding is multiplied too, and so are all steps
of a recurrent layer, of which the matrix products count.

Shapes are ONNX's own (onnx.shape_inference), and where that gives up, those of a run. Why no library counts:
docs/decisions.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_NO_MACS = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BitShift BitwiseAnd BitwiseNot
    BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape Cos Cosh
    CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Elu Equal Erf Exp Expand EyeLike
    Flatten Floor Gather GatherElements GatherND Gelu GlobalAveragePool GlobalMaxPool Greater
    GreaterOrEqual HardSigmoid HardSwish Hardmax Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log
    LogSoftmax Max MaxPool Mean Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear
    Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu
    Unsqueeze Where Xor
"""

NO_MACS = frozenset(_NO_MACS.split())
"""Operators of the standard domain without a product that is added to a sum."""

_STANDARD_DOMAINS = ("", "ai.onnx")
_FOLDS_INTO = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class MacCount:
    """MACs of a graph.

    Attributes
    ----------
    total : int
    per_operator : mapping of str to int
        Operators that were counted, by type.
    uncounted : tuple of str
        Operators whose MACs are unknown, sorted, with how often they occur.
    """

    total: int
    per_operator: Mapping[str, int]
    uncounted: tuple[str, ...]


def count_macs(model: onnx.ModelProto) -> MacCount:
    """Count a model's MACs at the shapes that are written in it.

    Parameters
    ----------
    model : onnx.ModelProto
        After shape inference.

    Returns
    -------
    MacCount
    """
    graph = model.graph
    shapes = _shapes(graph)
    producers = {name: node.op_type for node in graph.node for name in node.output}
    own = {(function.domain, function.name) for function in model.functions}
    counted: Counter[str] = Counter()
    uncounted: Counter[str] = Counter()
    for node in graph.node:
        kind = node.op_type
        if node.domain not in _STANDARD_DOMAINS or (node.domain, kind) in own:
            uncounted[f"{node.domain}::{kind}"] += 1
        elif kind == "BatchNormalization" and producers.get(node.input[0]) in _FOLDS_INTO:
            continue
        elif kind in _COUNTERS:
            try:
                counted[kind] += _COUNTERS[kind](node, shapes)
            except KeyError:
                uncounted[f"{kind} (unknown shape)"] += 1
        elif kind not in NO_MACS:
            uncounted[kind] += 1
    return MacCount(
        total=sum(counted.values()),
        per_operator=dict(sorted(counted.items())),
        uncounted=tuple(
            f"{name} x{times}" if times > 1 else name for name, times in sorted(uncounted.items())
        ),
    )


def missing_shapes(model: onnx.ModelProto) -> tuple[str, ...]:
    """The tensors whose shapes :func:`count_macs` needs and the model does not say."""
    shapes = _shapes(model.graph)
    needed = (
        name
        for node in model.graph.node
        if node.op_type in _COUNTERS and node.domain in _STANDARD_DOMAINS
        for name in (*node.input, *node.output)
    )
    return tuple(name for name in dict.fromkeys(needed) if name and name not in shapes)


def _conv(node: onnx.NodeProto, shapes: Shapes, weight: int = 1) -> int:
    """Products of one output value: those of a kernel over channels in / groups (weight axes 1, 2, ...)."""
    return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[weight]][1:])


def _conv_transpose(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Products of one input value: those of a kernel over channels out / groups (weight axes 1, 2, ...)."""
    return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


def _matmul(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Every output value is an inner product along the first operand's last axis, or its first (transA)."""
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else -1]


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    """At every step, products with W (directions, gates x hidden, inputs) and R (..., hidden)."""
    steps_and_batch = math.prod(shapes[node.input[0]][:2])  # (T, N, inputs), or (N, T, inputs) of layout 1
    return steps_and_batch * sum(math.prod(shapes[name]) for name in node.input[1:3])


_COUNTERS: Mapping[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": lambda node, shapes: _conv(node, shapes, weight=3),
    "ConvTranspose": _conv_transpose,
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm"), _matmul),
    # One scale and shift per value; after a convolution or product it folds into that.
    "BatchNormalization": lambda node, shapes: math.prod(shapes[node.output[0]]),
}


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            found[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    for initializer in graph.initializer:
        found[initializer.name] = tuple(initializer.dims)
    return found
