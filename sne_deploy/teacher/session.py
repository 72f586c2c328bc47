"""A teacher's session: what it takes, one batch run by onnxruntime, and the shapes of a run.

Runs in the child that :mod:`sne_deploy.teacher.process` starts, and nowhere else.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.layers.geometry import reshapes
from sne_deploy.teacher.onnx_macs import missing_shapes
from sne_deploy.teacher.onnx_model import TeacherError, entries, refusing

if TYPE_CHECKING:
    import onnx
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

Array = npt.NDArray[Any]

MAX_THREADS = 2
_CANNOT_RUN = ": onnxruntime cannot run it"
"""Its exceptions share no base class but Exception."""
_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def input_layout(
    model: onnx.ModelProto, name: str, sample: tuple[int, ...]
) -> tuple[int | None, tuple[int, ...]]:
    """The fixed batch size (None where it is free) and the shape of one sample as the teacher wants it."""
    batch, wanted, shown = _input_dims(model, name)
    fixed = tuple(dim for dim in wanted if dim is not None)
    if len(fixed) == len(wanted) and reshapes(sample, fixed):
        return batch, fixed
    same_rank = len(wanted) == len(sample)
    if same_rank and all(dim in (None, size) for dim, size in zip(wanted, sample, strict=True)):
        return batch, sample
    if len(fixed) == len(wanted) and math.prod(fixed) == math.prod(sample):
        raise TeacherError(
            f"teacher {name!r}: input {shown} has the values of samples of shape {sample} in another order: "
            f"export it for that shape, with a transpose in front where it wants channels last"
        )
    raise TeacherError(
        f"teacher {name!r}: input {shown} does not fit samples of shape {sample}: "
        f"use the data that it was trained on"
    )


def declared_layout(model: onnx.ModelProto, name: str) -> tuple[int | None, tuple[int, ...]]:
    """The same of a model that says itself what one sample is."""
    batch, wanted, shown = _input_dims(model, name)
    if None in wanted:
        raise TeacherError(
            f"teacher {name!r}: input {shown} leaves more than the batch free; export it with fixed sizes"
        )
    return batch, tuple(dim for dim in wanted if dim is not None)


def _input_dims(model: onnx.ModelProto, name: str) -> tuple[int | None, list[int | None], str]:
    """Batch and sizes of the one input, None where they are free; and both as text."""
    inputs = entries(model)
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs[:4]) or "none"
        raise TeacherError(f"teacher {name!r} has {len(inputs)} inputs ({names}); it must have exactly one")
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    shown = f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"
    if not tensor.HasField("shape") or len(dims) < 2 or any(dim is not None and dim < 1 for dim in dims):
        raise TeacherError(f"teacher {name!r}: input {shown} must be [batch, ...] with positive sizes")
    batch, wanted = dims[0], dims[1:]
    if batch is not None and batch > 2**16:
        raise TeacherError(f"teacher {name!r}: fixed batch {batch} exceeds {2**16}; export with a free batch")
    return batch, wanted, shown


def with_observed_shapes(inferred: onnx.ModelProto, name: str, x: Array, batch: int) -> onnx.ModelProto:
    """Run one batch where shape inference gave up, and write down the shapes that the count of MACs needs.

    Parameters
    ----------
    inferred : onnx.ModelProto
        After shape inference; returned as it is where nothing is missing.
    name : str
    x : array of shape (N, *shape)
    batch : int
    """
    import onnx

    missing = missing_shapes(inferred)
    if not missing:
        return inferred
    watched = onnx.ModelProto()
    watched.CopyFrom(inferred)
    outputs = {value.name for value in watched.graph.output}
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=tensor) for tensor in missing if tensor not in outputs
    )
    session = open_session(watched.SerializeToString(), name)
    entry = session.get_inputs()[0]
    part = np.resize(x, (batch, *x.shape[1:])).astype(_dtype(entry, name))
    with refusing(name, _CANNOT_RUN, "", Exception):
        found = session.run(list(missing), {entry.name: part})
    known = onnx.ModelProto()
    known.CopyFrom(inferred)
    for tensor, value in zip(missing, found, strict=True):
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        known.graph.value_info.append(onnx.helper.make_tensor_value_info(tensor, kind, value.shape))
    return known


def open_session(data: bytes, name: str) -> onnxruntime.InferenceSession:
    """From bytes, not from the path: nothing beside the file can be reached."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    with refusing(name, ": onnxruntime cannot load it", "", Exception):
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run_batch(session: onnxruntime.InferenceSession, name: str, x: Array) -> Array:
    """Outputs [N, classes] of one batch."""
    entry = session.get_inputs()[0]
    dtype, output = _dtype(entry, name), _output_name(session, name)
    with refusing(name, _CANNOT_RUN, "", Exception):
        found = np.asarray(session.run([output], {entry.name: np.ascontiguousarray(x, dtype)})[0])
    if found.ndim != 2 or len(found) != len(x) or found.shape[1] < 1 or found.dtype.kind != "f":
        raise TeacherError(
            f"teacher {name!r}: output {output!r} is {found.dtype} of shape {found.shape} for "
            f"{len(x)} samples; it must be floating-point [batch, classes]"
        )
    if not np.isfinite(found).all():
        raise TeacherError(f"teacher {name!r}: output {output!r} is not finite; train or export it again")
    return found


def _dtype(entry: Any, name: str) -> Any:
    """What an input takes."""
    if entry.type not in _DTYPES:
        raise TeacherError(
            f"teacher {name!r}: input is {entry.type}, not {' or '.join(_DTYPES)}; export it so"
        )
    return _DTYPES[entry.type]


def _output_name(session: onnxruntime.InferenceSession, name: str) -> str:
    names = [str(value.name) for value in session.get_outputs()]
    if len(names) == 1:
        return names[0]
    if "logits" in names:
        return "logits"
    raise TeacherError(
        f"teacher {name!r} has {len(names)} outputs ({', '.join(repr(n) for n in names[:4])}) and none is "
        f"named 'logits'; name the one with the classes"
    )
