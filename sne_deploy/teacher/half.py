"""Weights of 16 bits in an ONNX file: half the size, read as any other.

A matrix or kernel is stored as IEEE 754 binary16 and cast to binary32 before it is used, so that all
arithmetic stays that of the file with 32 bits. Biases, batch norms and other vectors, which are small, stay
as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.teacher.onnx_model import TeacherError

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[Any]
LARGEST = float(np.finfo(np.float16).max)
"""Beyond it a weight has no binary16 value: 65,504."""
SUFFIX = "_float16"


def half_precision(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return a copy whose matrices and kernels are rounded to the nearest binary16 value and stored so.

    Each weight changes by at most 2^-11 of its size, or by 2^-25 where it is smaller than 2^-14.

    Raises
    ------
    TeacherError
        There is no float32 matrix, or a weight is larger than binary16 holds.
    """
    weights = _matrices(model)
    if not weights:
        raise TeacherError(
            f"teacher {name!r} has no matrix of float32 weights to store in 16 bits; give one that has"
        )
    for tensor, values in weights.items():
        most = float(np.abs(values).max(initial=0.0))
        if not most <= LARGEST:
            raise TeacherError(
                f"teacher {name!r}: weight {tensor[:40]!r} reaches {most:g}, more than the {LARGEST:g} of "
                "16 bits; keep it in 32 bits"
            )
    return _stored(model, {tensor: values.astype(np.float16) for tensor, values in weights.items()})


def without_spare_bits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which each matrix and kernel that binary16 holds exactly is stored so."""
    halves = {}
    for tensor, values in _matrices(model).items():
        with np.errstate(over="ignore"):  # what becomes infinite is not exact
            half = values.astype(np.float16)
        if (half == values).all():
            halves[tensor] = half
    return _stored(model, halves)


def _matrices(model: onnx.ModelProto) -> dict[str, Array]:
    """The float32 constants of more than one axis, by name."""
    from onnx import TensorProto, numpy_helper

    outputs = {value.name for value in model.graph.output}
    return {
        tensor.name: np.asarray(numpy_helper.to_array(tensor))
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and tensor.name not in outputs
    }


def _stored(model: onnx.ModelProto, halves: dict[str, Array]) -> onnx.ModelProto:
    """The model with these constants in 16 bits, each followed by a cast that has the constant's old name."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    casts = []
    for tensor in made.graph.initializer:
        if tensor.name not in halves:
            continue
        stored, float32 = tensor.name + SUFFIX, onnx.TensorProto.FLOAT
        casts.append(
            onnx.helper.make_node("Cast", [stored], [tensor.name], name=f"{stored}_cast", to=float32)
        )
        tensor.CopyFrom(onnx.numpy_helper.from_array(halves[tensor.name], stored))
    nodes = [*casts, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    for entry in [value for value in made.graph.input if value.name in halves]:
        made.graph.input.remove(entry)  # an input that only named the constant
    return made
