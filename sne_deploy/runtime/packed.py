"""Counts of many samples in as few bytes as hold them; what reads a field gets what was put there.

An array of ``FROM`` samples or more is kept as one row, where all are alike, in the narrowest type that gives
the same bits back, or as numbers of its distinct values, where these are few. Reading makes the array anew,
for as long as the reader keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Class = TypeVar("Class", bound=type)

FROM = 2**16
"""Samples from which it is worth the time."""
_NARROW = (np.int8, np.int16, np.int32, np.float32)
_LOOK = 4096
"""Samples that are tried first."""
_FEW = 2**16
"""Distinct values, at most."""


@dataclass(frozen=True, eq=False)
class Packed:
    """An array of shape (samples, ...), smaller."""

    values: Array
    samples: int
    dtype: np.dtype[Any]
    distinct: Array | None = None
    """What ``values`` are numbers of."""

    @property
    def nbytes(self) -> int:
        """What is kept."""
        return self.values.nbytes + (0 if self.distinct is None else self.distinct.nbytes)

    def whole(self) -> Array:
        """The array; not to be written into."""
        if self.distinct is not None:
            return self.distinct[self.values]
        if len(self.values) == self.samples:
            return self.values.astype(self.dtype)
        return np.broadcast_to(self.values, (self.samples, *self.values.shape[1:]))


def pack(array: Array) -> Packed | Array:
    """The array in fewer bytes, or itself."""
    if len(array) < FROM or array.ndim > 2 or array.dtype.kind not in "iufb":
        return array
    if _same_bits(array[:_LOOK], np.broadcast_to(array[:1], array[:_LOOK].shape)):
        first = np.broadcast_to(array[:1], array.shape)
        if _same_bits(array, first):
            return Packed(array[:1].copy(), len(array), array.dtype)
    for kind in _NARROW:
        if np.dtype(kind).itemsize < array.itemsize:
            with np.errstate(invalid="ignore", over="ignore"):
                if all(_same_bits(part, part.astype(kind).astype(array.dtype)) for part in _parts(array)):
                    return Packed(array.astype(kind), len(array), array.dtype)
    return _numbered(array) if array.dtype == np.float64 else array


def _numbered(array: Array) -> Packed | Array:
    """By its distinct values, as bits."""
    bits = np.ascontiguousarray(array).view(np.int64)
    if len(np.unique(bits[:_LOOK])) > bits[:_LOOK].size // 2:
        return array
    distinct, values = np.unique(bits, return_inverse=True)
    if len(distinct) > _FEW:
        return array
    kind = np.uint8 if len(distinct) <= 2**8 else np.uint16
    return Packed(
        values.reshape(array.shape).astype(kind), len(array), array.dtype, distinct.view(array.dtype)
    )


def _parts(array: Array) -> list[Array]:
    return [array[:_LOOK], *(array[start : start + FROM] for start in range(_LOOK, len(array), FROM))]


def _same_bits(one: Array, other: Array) -> bool:
    """Bits, not values: of two zeros, and of numbers that are none."""
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    bits = f"u{one.itemsize}"
    return bool(np.array_equal(np.ascontiguousarray(one).view(bits), np.ascontiguousarray(other).view(bits)))


def packs(*names: str) -> Callable[[Class], Class]:
    """A dataclass whose fields of these names are kept packed."""

    def changed(kind: Class) -> Class:
        for name in names:
            setattr(kind, name, _Field(name))
        return kind

    return changed


class _Field:
    """Keeps what it is given packed in the instance, and gives it whole."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        found = instance.__dict__[self._name]
        return found.whole() if isinstance(found, Packed) else found

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = pack(value) if isinstance(value, np.ndarray) else value


def shared(array: Array, others: Iterable[Array]) -> Array:
    """The one of the others that has the same bits, to be kept once; else the array itself."""
    for other in others:
        if array.shape == other.shape and array.dtype == other.dtype and _same_bits(array, other):
            return other
    return array
