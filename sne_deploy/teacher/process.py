"""A teacher in a child process: ONNX files can be programs without an end, or ask for any amount of memory.

The child may be taken over by a hostile file; what it sends is taken as data alone. This is the one place
where onnxruntime is started, without its reports to its maker.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.sandbox.process import Child, FailedError, ask, child_command, child_environment
from sne_deploy.sandbox.reply import Tree
from sne_deploy.teacher import child as teacher_child
from sne_deploy.teacher.onnx_macs import MacCount
from sne_deploy.teacher.onnx_model import TeacherError
from sne_deploy.text import one_line

Array = npt.NDArray[Any]

ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1"}
"""Else onnxruntime reports to its maker, and leaves files in the temporary and the home folder."""
MEMORY_BYTES = 1 << 30
MEMORY_PER_BYTE = 8
"""Address space of the child: so much, and so much more per byte of the file."""
SECONDS = 6
BYTES_PER_SECOND = 1 << 24
"""Processor time for whatever is asked, and so much more for the size of the file."""
SECONDS_PER_SAMPLE = 1
"""And for the samples of a batch, once the first has been run without this."""


@dataclass(frozen=True)
class TeacherLimits:
    """What one answer may hold, and its child take; see :class:`sne_deploy.sandbox.reply.Limits`."""

    memory_bytes: int
    seconds: int
    total_bytes: int = 1 << 29
    text_bytes: int = 1 << 20
    objects: int = 16


class TeacherProcess:
    """The child of one ONNX file, killed by :meth:`close`.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        What messages call it.

    Raises
    ------
    TeacherError
        Here and in every method: what is wrong with the file, or which limit it exceeded.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name
        self._memory_bytes = MEMORY_BYTES + MEMORY_PER_BYTE * len(data)
        self._seconds = SECONDS + len(data) // BYTES_PER_SECOND
        self._child = start_child(self._memory_bytes)
        self._batch: int | None = None
        self._most = 1
        self._sample: tuple[int, ...] | None = None
        self._tried = False
        try:
            self._ask({"do": "open", "name": name}, data)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def __enter__(self) -> TeacherProcess:
        """Nothing more than making it."""
        return self

    def __exit__(self, *_: object) -> None:
        """See :meth:`close`."""
        self.close()

    def cut(self) -> tuple[Array, Array]:
        """Leave of the model the features before its last linear map; its weight (classes, F) and bias."""
        found = self._ask({"do": "cut"})
        weight, bias = _array(found, "weight", 2), _array(found, "bias", 1)
        if len(bias) != len(weight):
            raise self._damaged()
        return weight.astype(np.float32, copy=False), bias.astype(np.float32, copy=False)

    def check(self, x: Array) -> None:
        """Prove that the model takes samples of shape (N, ...), where the sizes agree."""
        if x.shape[1:] == self._sample:
            return
        found = _array(self._ask({"do": "check", "sample": list(x.shape[1:])}), "batch", 1)
        if found.shape != (2,) or found.dtype.kind != "i" or found[1] < 1 or found[0] not in (0, found[1]):
            raise self._damaged()
        self._batch, self._most = int(found[0]) or None, int(found[1])
        self._sample = x.shape[1:]

    def declare(self) -> None:
        """Take the model's own word for what one sample is: enough to :meth:`count`."""
        found = _array(self._ask({"do": "declare"}), "batch", 1)
        if found.shape != (1,) or found.dtype.kind != "i" or found[0] < 1:
            raise self._damaged()
        self._batch = int(found[0])

    def rows(self, x: Array) -> Array:
        """Outputs [N, classes] of samples that were checked, in batches, the last filled where it must be."""
        if not self._tried:  # a program without an end is found at the first sample, not at the 64th
            self._run(_filled(x[:1], self._batch), min(self._batch or 0, 64) // 8)
            self._tried = True
        rows = []
        for start in range(0, len(x), self._most):
            part = x[start : start + self._most]
            rows.append(self._run(_filled(part, self._batch), SECONDS_PER_SAMPLE * self._most)[: len(part)])
        return np.concatenate(rows)

    def count(self) -> tuple[int, MacCount]:
        """Samples of a batch, and its multiply-accumulates, after :meth:`rows` or :meth:`declare`."""
        text = self._ask({"do": "count"}).get("macs")
        try:
            found = json.loads(str(text))
            per_operator = {str(kind): int(n) for kind, n in found["per_operator"].items()}
            macs = MacCount(int(found["total"]), per_operator, tuple(str(one) for one in found["uncounted"]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise self._damaged() from None
        return self._batch or 1, macs

    def _run(self, part: Array, more_seconds: int) -> Array:
        samples = np.ascontiguousarray(part, part.dtype if part.dtype.kind == "f" else np.float32)
        request = {"do": "run", "dtype": samples.dtype.str, "samples": len(samples)}
        rows = _array(self._ask(request, samples.tobytes(), more_seconds), "rows", 2)
        if len(rows) != len(part) or rows.dtype.kind != "f" or not np.isfinite(rows).all():
            raise self._damaged()
        return rows

    def _ask(self, request: dict[str, Any], data: bytes = b"", more_seconds: int = 0) -> Tree:
        seconds = self._seconds + more_seconds
        text = json.dumps({**request, "size": len(data), "seconds": seconds}).encode()
        head = len(text).to_bytes(8, "little") + text
        limits = TeacherLimits(self._memory_bytes, seconds)
        try:
            return ask(self._child, (memoryview(head), memoryview(data)), limits)
        except FailedError as error:
            raise self._refused(str(error), request["do"]) from None

    def _refused(self, cause: str, doing: str) -> TeacherError:
        if cause == "MemoryError":
            batch = f", or export it with a smaller batch than {self._batch}" if self._batch else ""
            cause = (
                f"teacher {self._name!r}: {_DOING[doing]} needs more than {self._memory_bytes >> 20} MiB of "
                f"memory, the limit; use a smaller teacher{batch}"
            )
        elif not cause.startswith("teacher "):
            cause = f"teacher {self._name!r}: {_DOING[doing]}: {cause}; use a smaller teacher, without loops"
        return TeacherError(one_line(cause))

    def _damaged(self) -> TeacherError:
        return TeacherError(f"teacher {self._name!r}: its reader sent damaged data; export it again")


_DOING = {
    "open": "reading it",
    "cut": "looking for its last linear map",
    "check": "preparing it",
    "declare": "preparing it",
    "run": "running it",
    "count": "counting its operations",
}


def start_child(memory_bytes: int) -> Child:
    """Start a child that has read nothing yet."""
    options = json.dumps({"memory_bytes": memory_bytes, "import_path": [one for one in sys.path if one]})
    return Child(child_command(teacher_child.__name__, [options]), child_environment(ENVIRONMENT))


def _array(tree: Tree, name: str, ndim: int) -> Array:
    found = tree.get(name)
    if not isinstance(found, np.ndarray) or found.ndim != ndim:
        raise TeacherError("the teacher's reader sent damaged data; export it again")
    return found


def _filled(part: Array, batch: int | None) -> Array:
    """A batch of the fixed size, its last sample repeated."""
    missing = 0 if batch is None else batch - len(part)
    return np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
