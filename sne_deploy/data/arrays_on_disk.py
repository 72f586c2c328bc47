"""One array in NumPy's format, from a stream that nobody can trust: nothing is evaluated or unpickled.

Every size is checked before memory is taken for it, and the values are read once, into their place.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from sne_deploy.data.dataset import Array
from sne_deploy.errors import DataError
from sne_deploy.memory import available_bytes

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
"""Of the header's length, by the format's version."""
_MAX_HEADER_BYTES = 4096
_FIELDS = (
    re.compile(r"""['"]descr['"]\s*:\s*(['"])([<>=|]?\w{1,8})\1"""),
    re.compile(r"""['"]fortran_order['"]\s*:\s*(False|True)\b"""),
    re.compile(r"""['"]shape['"]\s*:\s*\(([-\d\s,L]*)\)"""),
)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Header:
    """What stands before an array's values."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(name: str, stream: IO[bytes]) -> Header:
    """Read what stands before the values, which ``stream`` gives next.

    Parameters
    ----------
    name : str
        What messages call the array.
    stream : binary stream

    Raises
    ------
    DataError
        Not NumPy's format, or no numbers. Whether the values follow is not known yet.
    """
    start = stream.read(8)
    if len(start) < 8 or not start.startswith(_MAGIC):
        raise DataError(f"{name} is not in NumPy's format; write it with np.save or np.savez")
    length_bytes = _LENGTH_BYTES.get(start[6])
    if length_bytes is None:
        raise DataError(
            f"{name} has an unknown format version {start[6]}.{start[7]}; write it with np.save or np.savez"
        )
    length = int.from_bytes(stream.read(length_bytes), "little")
    text = stream.read(min(length, _MAX_HEADER_BYTES)).decode("latin-1")
    descr, fortran, shape = (field.search(text) for field in _FIELDS)
    dtype = None if descr is None else _dtype(descr[2])
    if dtype is None or dtype.kind not in "buif":
        found = repr(text[:50]) if dtype is None else f"dtype {dtype}"
        raise DataError(f"{name} has {found}, must hold numbers; {no_numbers(dtype)}")
    if fortran is None or shape is None or length > _MAX_HEADER_BYTES:
        raise DataError(f"{name} is not in NumPy's format; write it with np.save or np.savez")
    digits = re.findall(r"-?\d+", shape[1])
    if len(digits) > 32 or any(len(one) > 18 or one.startswith("-") for one in digits):
        raise DataError(f"{name} claims shape ({shape[1][:60]}), which no array has; write it again")
    return Header(tuple(int(one) for one in digits), fortran[1] == "True", dtype)


def no_numbers(dtype: np.dtype[Any] | None) -> str:
    """What to do with an array of this type, which holds no numbers."""
    if dtype is not None and dtype.kind in "US":
        return "number the classes that it names: names, y = np.unique(y, return_inverse=True)"
    if dtype is not None and dtype.kind == "O":
        return (
            "pickled objects are never read: store samples of different lengths followed by zeros, in one "
            "array, and how many steps each lasts as lengths"
        )
    return "pickled objects are never read"


def _dtype(code: str) -> np.dtype[Any] | None:
    try:
        return np.dtype(code)
    except (TypeError, ValueError):
        return None


def read_values(name: str, stream: IO[bytes], header: Header) -> Array:
    """Read the values, straight into the memory that they keep.

    Raises
    ------
    DataError
        There are fewer than the header says, or less memory than they need.
    """
    check_memory(name, header.nbytes)
    data = np.empty(header.nbytes, np.uint8)
    target, done = data.data, 0
    while done < len(target):
        count = stream.readinto(target[done : done + _BLOCK])  # type: ignore[attr-defined]  # binary streams have it
        if not count:
            raise DataError(f"{name} is truncated; write the file again")
        done += count
    return data.view(header.dtype).reshape(header.shape, order="F" if header.fortran else "C")


def check_memory(name: str, size: int) -> None:
    """Refuse to take more memory than there is.

    Raises
    ------
    DataError
    """
    available = available_bytes()
    if available is not None and size > available:
        raise DataError(
            f"{name} needs {size} bytes of memory, {available} are available; split the file, or run on a "
            f"larger machine"
        )
