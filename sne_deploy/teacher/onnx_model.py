"""An ONNX file as untrusted input: bounded, checked, alone, its shapes inferred and bounded too.

Nothing beside the file is ever opened, and no tensor for one sample may exceed a limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sne_deploy.errors import InputError
from sne_deploy.files import read_regular

if TYPE_CHECKING:
    import onnx

MAX_FILE_BYTES = 512 * 1024 * 1024
"""A teacher for this purpose is far smaller; protobuf itself stops at 2 GiB."""

MAX_TENSOR_ELEMENTS = 2**28
"""Largest tensor that the graph may make for one sample (1 GiB in float32)."""

_AGAIN = "; export it again"


class TeacherError(InputError):
    """The teacher's ONNX file is missing, damaged, hostile, or does not fit the data."""


@contextmanager
def refusing(name: str, what: str, remedy: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn a library's errors into one line: ``teacher NAME WHAT: its message; REMEDY``."""
    try:
        yield
    except errors as error:
        raise TeacherError(f"teacher {name!r}{what}: {one_line(error)}{remedy}") from error


def read_onnx(path: Path) -> bytes:
    """The bytes of a regular file of bounded size."""
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise TeacherError(
            f"cannot read teacher {str(path)!r}: {error.strerror}; give an ONNX file"
        ) from error


def parse_onnx(data: bytes, name: str) -> onnx.ModelProto:
    """Parse and check; external data is refused before anything could follow it."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    with refusing(name, " is not an ONNX model", _AGAIN, DecodeError, ValueError, RuntimeError):
        model = onnx.load_model_from_string(data)
    if _has_external_data(model):
        raise TeacherError(
            f"teacher {name!r} keeps tensors in other files, which are never opened; "
            f"export it into one file (external_data=False)"
        )
    invalid = onnx.checker.ValidationError
    with refusing(name, " is not a valid ONNX model", _AGAIN, invalid, ValueError, RuntimeError):
        onnx.checker.check_model(model)
    return model


def _has_external_data(model: onnx.ModelProto) -> bool:
    """True where a tensor anywhere in the model, sub-graphs and functions included, is in another file."""
    import onnx
    from google.protobuf.message import Message

    stack: list[Any] = [model]
    while stack:
        item = stack.pop()
        if isinstance(item, onnx.TensorProto):
            if item.data_location == onnx.TensorProto.EXTERNAL or item.external_data:
                return True
            continue
        for descriptor, value in item.ListFields():
            if descriptor.message_type is not None:
                stack.extend([value] if isinstance(value, Message) else value)
    return False


def entries(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no constants."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def infer_shapes(model: onnx.ModelProto, name: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """A copy with the input's shape fixed and every shape inferred that can be; huge tensors are refused."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for dim, size in zip(entries(fixed)[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    failed = onnx.shape_inference.InferenceError
    with refusing(name, ": shapes do not chain", _AGAIN, failed, ValueError, RuntimeError):
        inferred = onnx.shape_inference.infer_shapes(fixed, check_type=True, strict_mode=True, data_prop=True)
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        size = math.prod(max(dim.dim_value, 1) for dim in value.type.tensor_type.shape.dim)
        if size > MAX_TENSOR_ELEMENTS:
            raise TeacherError(
                f"teacher {name!r}: tensor {value.name[:40]!r} has {size} elements, more than the limit of "
                f"{MAX_TENSOR_ELEMENTS}; use a smaller teacher"
            )
    return inferred


def largest_tensor(model: onnx.ModelProto) -> int:
    """Elements of the largest tensor whose shape is known."""
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return max(
        math.prod(max(int(dim.dim_value), 1) for dim in value.type.tensor_type.shape.dim) for value in values
    )


def one_line(error: Exception) -> str:
    """An exception's message in one line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
