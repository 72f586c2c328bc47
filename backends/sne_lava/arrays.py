"""Arrays that a Lava process fills and the process that started Lava reads, without copying or files.

They live in anonymous shared memory made before Lava forks. ``Var.get`` would send one value at a time
through float64 messages: slow, and inexact above 2^53.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TEXT_BYTES = 65536


def shared_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros that stay shared with processes forked later; freed with the last view."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(mmap.mmap(-1, size), dtype=dtype).reshape(shape)


class Board:
    """What Lava's processes tell the process that started them: the step reached, and the first failure.

    Attributes
    ----------
    step : int64 array of shape (1,)
        Lava steps that the process that leads has begun.
    """

    def __init__(self) -> None:
        self.step = shared_zeros((1,), np.int64)
        self._length = shared_zeros((1,), np.int64)
        self._text = shared_zeros((TEXT_BYTES,), np.uint8)

    def report(self, text: str) -> None:
        """Leave the text of a failure; the first one stays."""
        if self._length[0] == 0:
            data = text.encode(errors="replace")[-TEXT_BYTES:]
            self._text[: len(data)] = np.frombuffer(data, np.uint8)
            self._length[0] = len(data)

    @property
    def failure(self) -> str | None:
        """The text of the first failure, or None."""
        length = int(self._length[0])
        return self._text[:length].tobytes().decode(errors="replace") if length else None
