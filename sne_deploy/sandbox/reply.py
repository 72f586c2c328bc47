"""What a child that works on an untrusted file sends, as plain data: nothing in it is trusted.

Every size is checked before memory is taken for it, and all of it must come within a wall time.
"""

from __future__ import annotations

import json
import math
import os
import select
import time
from collections.abc import Iterator
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from sne_deploy.sandbox.limits import ARRAY, ERROR, ERROR_BYTES, MAGIC, TREE, tree_bytes

Array = npt.NDArray[Any]
Tree = dict[str, "Tree | Array | str | list[str]"]
"""Groups are dicts; numbers are arrays (0-d where they were scalars); strings are str or flat lists."""


class Limits(Protocol):
    """What an answer may hold, and what the child may take.

    Attributes
    ----------
    total_bytes, text_bytes, objects : int
        Of all numbers, and of all names and strings; data sets.
    memory_bytes, seconds : int
        Address space; processor time and, threefold, wall time.
    """

    @property
    def total_bytes(self) -> int: ...  # noqa: D102
    @property
    def text_bytes(self) -> int: ...  # noqa: D102
    @property
    def objects(self) -> int: ...  # noqa: D102
    @property
    def memory_bytes(self) -> int: ...  # noqa: D102
    @property
    def seconds(self) -> int: ...  # noqa: D102


_DTYPES = {np.dtype(code).str: np.dtype(code) for code in "?bBhHiIlLqQefd"}
_MAX_TREE_DEPTH = 64
_BUFFER_BYTES = 1 << 16


class RefusedError(Exception):
    """The reader says what is wrong with the file; the text may hold parts of it."""


class EndError(Exception):
    """The reader's output ends too early."""


class LateError(Exception):
    """The reader took too long."""


class DamagedError(Exception):
    """The reader sent what it never sends."""


class Pipe:
    """A pipe to or from a child, written or read within a wall time."""

    def __init__(self, pipe: IO[bytes], deadline: float) -> None:
        self._fd, self._deadline, self._buffer = pipe.fileno(), deadline, memoryview(b"")
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN if pipe.readable() else select.POLLOUT)

    def write_all(self, data: memoryview) -> None:
        """Write all of ``data``."""
        os.set_blocking(self._fd, False)
        done = 0
        while done < len(data):
            left = self._deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(1000 * left):
                raise LateError
            try:
                done += os.write(self._fd, data[done:])
            except BrokenPipeError:
                raise EndError from None

    def read_some(self, target: memoryview) -> int:
        """Fill a part of ``target``; 0 at the end."""
        left = self._deadline - time.monotonic()
        if left <= 0 or not self._poll.poll(1000 * left):
            raise LateError
        return os.readv(self._fd, [target])

    def read_into(self, target: memoryview) -> None:
        """Fill all of ``target``; small parts come from a buffer."""
        done = 0
        while done < len(target):
            if not self._buffer and len(target) - done < _BUFFER_BYTES:
                space = memoryview(bytearray(_BUFFER_BYTES))
                self._buffer = space[: self.read_some(space)]
                if not self._buffer:
                    raise EndError
            if self._buffer:
                part = self._buffer[: len(target) - done]
                target[done : done + len(part)] = part
                self._buffer = self._buffer[len(part) :]
                done += len(part)
            else:
                count = self.read_some(target[done:])
                if count == 0:
                    raise EndError
                done += count

    def read(self, size: int) -> bytes:
        """Exactly that number of bytes."""
        target = bytearray(size)
        self.read_into(memoryview(target))
        return bytes(target)


def read_reply(pipe: Pipe, limits: Limits) -> Tree:
    """Read all frames.

    Raises
    ------
    RefusedError, EndError, LateError, DamagedError
        See there.
    MemoryError
        There is not enough of it in this process for what the file holds.
    """
    try:
        return _frames(pipe, limits)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError):
        raise DamagedError from None


def _frames(pipe: Pipe, limits: Limits) -> Tree:
    if pipe.read(len(MAGIC)) != MAGIC:
        raise DamagedError
    arrays: list[Array] = []
    left = limits.total_bytes
    while True:
        kind, size = pipe.read(1), int.from_bytes(pipe.read(8), "little")
        if kind == ARRAY and size <= left and len(arrays) < limits.objects:
            arrays.append(np.empty(size, np.uint8))
            pipe.read_into(arrays[-1].data)
            left -= size
        elif kind == TREE and size <= tree_bytes(limits.text_bytes, limits.objects):
            return _tree(json.loads(pipe.read(size)), arrays)
        elif kind == ERROR and size <= ERROR_BYTES:
            raise RefusedError(pipe.read(size).decode("utf-8", "replace"))
        else:
            raise DamagedError


def _tree(entry: dict[str, Any], arrays: list[Array]) -> Tree:
    left = iter(arrays)
    tree = _entry(entry, left, 0)
    if not isinstance(tree, dict) or next(left, None) is not None:
        raise DamagedError
    return tree


def _entry(entry: dict[str, Any], arrays: Iterator[Array], depth: int) -> Any:
    if depth > _MAX_TREE_DEPTH:
        raise DamagedError
    if "group" in entry:
        return {str(name): _entry(child, arrays, depth + 1) for name, child in entry["group"].items()}
    shape = tuple(int(n) for n in entry["shape"])
    if "strings" in entry:
        strings = [str(text) for text in entry["strings"]]
        if len(strings) != math.prod(shape):
            raise DamagedError
        return strings if shape else strings[0]
    array = next(arrays, None)
    if array is None or any(n < 0 for n in shape):
        raise DamagedError
    return array.view(_DTYPES[entry["dtype"]]).reshape(shape)
