"""A small teacher in ONNX, made by hand."""

from __future__ import annotations

import numpy as np


def teacher_bytes() -> bytes:
    """A convolution and a linear layer, for images of 8 by 8."""
    import onnx

    info, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    nodes = [
        node("Conv", ["x", "k"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Flatten", ["r"], ["f"]),
        node("Gemm", ["f", "w"], ["y"]),
    ]
    tensors = {"k": np.ones((2, 1, 7, 7), np.float32), "w": np.ones((8, 10), np.float32)}
    ends = [
        [info(name, onnx.TensorProto.FLOAT, shape)]
        for name, shape in (("x", ["N", 1, 8, 8]), ("y", ["N", 10]))
    ]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = onnx.helper.make_graph(nodes, "teacher", *ends, constants)
    opsets = [onnx.helper.make_opsetid("", 17)]
    made: bytes = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return made
