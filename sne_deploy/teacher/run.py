"""The teacher, from its ONNX file: its accuracy on the same samples, and its multiply-accumulates.

The file is read by :mod:`sne_deploy.teacher.onnx_model`, its MACs are counted by
:mod:`sne_deploy.teacher.onnx_macs`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import DataError
from sne_deploy.teacher.onnx_macs import count_macs, missing_shapes
from sne_deploy.teacher.onnx_model import TeacherError, entries, infer_shapes, parse_onnx, read_onnx, refusing

if TYPE_CHECKING:
    import onnx
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

Array = npt.NDArray[Any]

MAX_THREADS = 2
_BATCH = 64
_CANNOT_RUN = ": onnxruntime cannot run it"
"""Its exceptions share no base class but Exception."""
_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}


@dataclass(frozen=True)
class TeacherResult:
    """What the teacher achieves and costs.

    Attributes
    ----------
    accuracy : float or None
        Fraction of correct predictions; None without labels.
    macs : int
        Multiply-accumulates per sample; a lower bound where ``uncounted`` is not empty.
    macs_per_operator : mapping of str to int
        The operators that were counted.
    uncounted : tuple of str
        Operators whose MACs are unknown, with how often they occur, such as ``"LSTM x2"``.
    samples : int
    """

    accuracy: float | None
    macs: int
    macs_per_operator: Mapping[str, int]
    uncounted: tuple[str, ...]
    samples: int


def evaluate_teacher(path: str | os.PathLike[str], x: Array, y: Array | None) -> TeacherResult:
    """Run a teacher on the CPU with onnxruntime, and count its MACs.

    The teacher has one input [batch, ...], batch free or fixed, and one output [batch, classes] (or one
    named ``logits``); its prediction is the largest output. Each sample is reshaped to the input's shape
    where the sizes agree, such as (1, 8, 8) to (64,).

    Parameters
    ----------
    path : path
        ONNX file.
    x : float array of shape (N, ...)
    y : int array of shape (N,), or None

    Returns
    -------
    TeacherResult

    Raises
    ------
    TeacherError
        The file or the graph in it cannot be used, or does not fit the samples.
    DataError
        Labels that do not fit the samples or the classes.
    """
    name = Path(path).name
    data = read_onnx(Path(path))
    model = parse_onnx(data, name)
    if len(x) == 0:
        raise DataError(f"teacher {name!r}: there are no samples; give at least one")
    if y is not None and y.shape != (len(x),):
        raise DataError(f"teacher {name!r}: labels of shape {y.shape} do not fit {len(x)} samples")
    batch, shape = input_layout(model, name, x.shape[1:])
    inferred = infer_shapes(model, name, (batch or 1, *shape))
    samples = np.asarray(x).reshape(len(x), *shape)
    session = open_session(data, name)
    logits = run_session(session, name, samples, batch)
    macs = count_macs(with_observed_shapes(inferred, name, samples, batch or 1))
    return TeacherResult(
        accuracy=None if y is None else _accuracy(logits, y, name),
        macs=_per_sample(macs.total, batch or 1, name),
        macs_per_operator={key: _per_sample(n, batch or 1, name) for key, n in macs.per_operator.items()},
        uncounted=macs.uncounted,
        samples=len(x),
    )


def input_layout(
    model: onnx.ModelProto, name: str, sample: tuple[int, ...]
) -> tuple[int | None, tuple[int, ...]]:
    """The fixed batch size (None where it is free) and the shape of one sample as the teacher wants it."""
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
    fixed = tuple(dim for dim in wanted if dim is not None)
    if len(fixed) == len(wanted) and math.prod(fixed) == math.prod(sample):
        return batch, fixed
    same_rank = len(wanted) == len(sample)
    if same_rank and all(dim in (None, size) for dim, size in zip(wanted, sample, strict=True)):
        return batch, sample
    raise TeacherError(
        f"teacher {name!r}: input {shown} does not fit samples of shape {sample}: "
        f"use the data that it was trained on"
    )


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
    part = np.resize(x, (batch, *x.shape[1:])).astype(_DTYPES[entry.type])
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
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it reports to its maker; read when it is imported
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    with refusing(name, ": onnxruntime cannot load it", "", Exception):
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run_session(session: onnxruntime.InferenceSession, name: str, x: Array, fixed_batch: int | None) -> Array:
    """Outputs [N, classes], in batches; the last one is filled up where the batch is fixed."""
    entry = session.get_inputs()[0]
    if entry.type not in _DTYPES:
        raise TeacherError(
            f"teacher {name!r}: input is {entry.type}, not {' or '.join(_DTYPES)}; export it so"
        )
    output = _output_name(session, name)
    batch = fixed_batch or _BATCH
    rows = []
    for start in range(0, len(x), batch):
        part = np.ascontiguousarray(x[start : start + batch], dtype=_DTYPES[entry.type])
        filled = batch - len(part) if fixed_batch else 0
        padded = np.concatenate([part, np.repeat(part[-1:], filled, axis=0)]) if filled else part
        with refusing(name, _CANNOT_RUN, "", Exception):
            found = np.asarray(session.run([output], {entry.name: padded})[0])
        if found.ndim != 2 or len(found) != len(padded) or found.shape[1] < 1 or found.dtype.kind != "f":
            raise TeacherError(
                f"teacher {name!r}: output {output!r} is {found.dtype} of shape {found.shape} for "
                f"{len(padded)} samples; it must be floating-point [batch, classes]"
            )
        rows.append(found[: len(part)])
    logits = np.concatenate(rows)
    if not np.isfinite(logits).all():
        raise TeacherError(f"teacher {name!r}: output {output!r} is not finite; train or export it again")
    return logits


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


def _accuracy(logits: Array, y: Array, name: str) -> float:
    if int(y.max()) >= logits.shape[1] or int(y.min()) < 0:
        raise DataError(
            f"teacher {name!r}: labels {int(y.min())} to {int(y.max())} do not fit its "
            f"{logits.shape[1]} classes; use the data that it was trained on"
        )
    return float(np.mean(logits.argmax(axis=1) == y))


def _per_sample(macs: int, batch: int, name: str) -> int:
    if macs % batch:
        raise TeacherError(
            f"teacher {name!r}: {macs} MACs for a fixed batch of {batch} are no whole number per sample; "
            f"export with a free batch"
        )
    return macs // batch
