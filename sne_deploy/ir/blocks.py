"""Large arrays some values at a time: the same bits, without another array of their size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 2**20
"""Values of a block."""


def flat(array: Array) -> Array:
    """All values in the order in which they lie; a view where nothing lies between them."""
    return (array.T if array.flags.f_contiguous else array).reshape(-1)


def row_blocks(array: Array) -> Iterator[slice]:
    """Consecutive rows; all of an array whose rows do not lie one after the other."""
    rows = max(1, len(array))
    if array.flags.c_contiguous and array.size > BLOCK:
        rows = max(1, BLOCK * len(array) // array.size)
    return (slice(first, first + rows) for first in range(0, len(array), rows))


def blocks(size: int) -> Iterator[slice]:
    """Consecutive values."""
    return (slice(first, min(first + BLOCK, size)) for first in range(0, size, BLOCK))


def total(size: int, values: Callable[[slice], Array]) -> float:
    """``np.sum`` of so many values, of which the function gives some: the same to the last bit.

    NumPy adds in halves, whose first is a multiple of eight, down to 128 values (``pairwise_sum`` of its
    ``loops_utils.h``); so does this, down to a block.
    """
    return _total(0, size, values)


def _total(first: int, last: int, values: Callable[[slice], Array]) -> float:
    if last - first <= BLOCK:
        return float(np.sum(values(slice(first, last))))
    middle = first + (last - first) // 2 // 8 * 8
    return _total(first, middle, values) + _total(middle, last, values)
