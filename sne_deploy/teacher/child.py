"""The process that works on an untrusted ONNX file: ``main([OPTIONS])`` answers requests until they end.

A request is a length (8 bytes, little endian), a JSON object of that length, and where it names a ``size``,
as many bytes. ``open`` reads a model, ``cut`` leaves of it the features before its last linear map,
``check`` finds its layout for samples, ``declare`` the one that it states itself, ``run`` gives its outputs
for a batch, ``count`` its multiply-accumulates. Each has a limit of processor time of its own; memory is
limited before the first. Answers are those of
:mod:`sne_deploy.sandbox.limits`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from sne_deploy.sandbox.limits import ARRAY, ERROR, MAGIC, TREE, limit_memory, limit_time, printable, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx

Answer = tuple[dict[str, Any], tuple[Any, ...]]
"""A tree of JSON and the arrays in it, in order."""
MAX_BATCH = 64
MAX_BATCH_ELEMENTS = 2**25
"""Of the largest tensor of a batch, where the batch is free."""
_NO_MEMORY = ("bad_alloc", "Failed to allocate", "MemoryError", "bfc_arena")
"""What the libraries say where memory is refused to them."""


class Work:
    """What the child knows of one file."""

    def __init__(self) -> None:
        self._model: onnx.ModelProto | None = None
        self._name = ""
        self._session: Any = None
        self._inferred: Any = None
        self._first: Any = None
        self._layout: tuple[int | None, tuple[int, ...]] = (None, ())

    def answer(self, request: Mapping[str, Any], data: bytes) -> Answer:
        """Do what a request asks for."""
        operations: dict[str, Callable[[Mapping[str, Any], bytes], Answer]] = {
            "open": self._open,
            "cut": self._cut,
            "check": self._check,
            "declare": self._declare,
            "run": self._run,
            "count": self._count,
        }
        return operations[request["do"]](request, data)

    def _open(self, request: Mapping[str, Any], data: bytes) -> Answer:
        from sne_deploy.teacher.onnx_model import parse_onnx

        self._name = request["name"]
        self._model = parse_onnx(data, self._name)
        return {}, ()

    def _cut(self, _request: Mapping[str, Any], _data: bytes) -> Answer:
        from sne_deploy.teacher.last_linear import cut_at_features
        from sne_deploy.teacher.session import open_session

        linear, self._model = cut_at_features(self._read(), self._name)
        self._session = open_session(self._model.SerializeToString(), self._name)
        return {"weight": _entry(linear.weight), "bias": _entry(linear.bias)}, (linear.weight, linear.bias)

    def _check(self, request: Mapping[str, Any], _data: bytes) -> Answer:
        import numpy as np

        from sne_deploy.teacher.onnx_model import infer_shapes, largest_tensor
        from sne_deploy.teacher.session import input_layout, open_session

        model = self._read()
        batch, shape = self._layout = input_layout(model, self._name, tuple(request["sample"]))
        self._inferred = infer_shapes(model, self._name, (batch or 1, *shape))
        if self._session is None:
            self._session = open_session(model.SerializeToString(), self._name)
        most = batch or max(1, min(MAX_BATCH, MAX_BATCH_ELEMENTS // largest_tensor(self._inferred)))
        numbers = np.array([batch or 0, most])
        return {"batch": _entry(numbers)}, (numbers,)

    def _declare(self, _request: Mapping[str, Any], _data: bytes) -> Answer:
        import numpy as np

        from sne_deploy.teacher.onnx_model import infer_shapes
        from sne_deploy.teacher.session import declared_layout

        model = self._read()
        batch, shape = self._layout = declared_layout(model, self._name)
        self._inferred = infer_shapes(model, self._name, (batch or 1, *shape))
        self._first = np.zeros((batch or 1, *shape), np.float32)
        numbers = np.array([batch or 1])
        return {"batch": _entry(numbers)}, (numbers,)

    def _run(self, request: Mapping[str, Any], data: bytes) -> Answer:
        import numpy as np

        from sne_deploy.teacher.session import run_batch

        batch, shape = self._layout
        samples = np.frombuffer(data, request["dtype"]).reshape(request["samples"], *shape)
        if self._first is None:
            self._first = samples[: batch or 1]
        rows = run_batch(self._session, self._name, samples)
        return {"rows": _entry(rows)}, (rows,)

    def _count(self, _request: Mapping[str, Any], _data: bytes) -> Answer:
        from sne_deploy.teacher.onnx_macs import count_macs
        from sne_deploy.teacher.session import with_observed_shapes

        known = with_observed_shapes(self._inferred, self._name, self._first, self._layout[0] or 1)
        text = json.dumps(asdict(count_macs(known)))
        return {"macs": {"strings": [text], "shape": []}}, ()

    def _read(self) -> onnx.ModelProto:
        if self._model is None:
            raise ValueError("no model was read")
        return self._model


def _entry(array: Any) -> dict[str, Any]:
    return {"dtype": array.dtype.newbyteorder("<").str, "shape": list(array.shape)}


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer requests until there are none."""
    work = Work()
    while True:
        length = int.from_bytes(source.read(8), "little")
        if length == 0:
            return
        request = json.loads(source.read(length))
        data = source.read(request.get("size", 0))
        limit_time(request["seconds"])
        target.write(MAGIC)
        try:
            tree, arrays = work.answer(request, data)
            for array in arrays:
                send(target, ARRAY, array.tobytes())
            send(target, TREE, json.dumps({"group": tree}).encode())
        except MemoryError:
            send(target, ERROR, b"MemoryError")
        except Exception as error:  # noqa: BLE001  # whatever a hostile file provokes becomes one line
            send(target, ERROR, printable(_text(error)))
        target.flush()


def _text(error: Exception) -> str:
    from sne_deploy.errors import InputError

    found = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    whole = f"{error.__cause__} {found}"
    return "MemoryError" if any(sign in whole for sign in _NO_MEMORY) else found


def main(arguments: list[str]) -> int:
    """Serve one file."""
    options = json.loads(arguments[0])
    sys.path += options["import_path"]
    # What is imported later would need memory that a hostile file may have taken.
    import numpy as np  # noqa: F401
    import onnx  # noqa: F401
    import onnxruntime  # type: ignore[import-untyped]  # noqa: F401

    import sne_deploy.teacher.last_linear
    import sne_deploy.teacher.session  # noqa: F401

    sys.dont_write_bytecode = True  # no file may be written from now on
    limit_memory(options["memory_bytes"])
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0
