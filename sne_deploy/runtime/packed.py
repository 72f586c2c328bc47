"""Counts of many samples in as few bytes as hold them; what reads a field gets what was put there.

An array of ``FROM`` samples or more is kept as one row, where all are alike, in the narrowest type that gives
the same bits back, or as numbers of its distinct values, where these are few. Reading makes the array anew,
for as long as the reader keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    parts = _parts(array)
    if all(_same_bits(part, np.broadcast_to(array[:1], part.shape)) for part in parts):
        return Packed(array[:1].copy(), len(array), array.dtype)
    for kind in _NARROW:
        if np.dtype(kind).itemsize < array.itemsize:
            with np.errstate(invalid="ignore", over="ignore"):
                if all(_same_bits(part, part.astype(kind).astype(array.dtype)) for part in parts):
                    return Packed(array.astype(kind), len(array), array.dtype)
    return _numbered(array, parts) if array.dtype == np.float64 else array


def _parts(array: Array) -> list[Array]:
    """A few samples first, which mostly tell; then all others, some at a time."""
    return [array[:_LOOK], *(array[start : start + FROM] for start in range(_LOOK, len(array), FROM))]


def _numbered(array: Array, parts: list[Array]) -> Packed | Array:
    """By its distinct values, as bits."""
    distinct = np.zeros(0, np.int64)
    for part in parts:
        distinct = np.union1d(distinct, _bits(part))
        if len(distinct) > min(_FEW, part.size // 2):
            return array
    kind = np.uint8 if len(distinct) <= 2**8 else np.uint16
    values = [np.searchsorted(distinct, _bits(part)).astype(kind) for part in parts]
    return Packed(np.concatenate(values), len(array), array.dtype, distinct.view(array.dtype))


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"i{array.itemsize}")


def _same_bits(one: Array, other: Array) -> bool:
    """Bits, not values: of two zeros, and of numbers that are none."""
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return bool(np.array_equal(_bits(one), _bits(other)))


def join_field(parts: Sequence[Any], name: str) -> Any:
    """An array of all parts' samples, packed; each part's is made whole for as long as it is copied."""
    lengths = [part.samples if isinstance(part, Packed) else len(part) for part in _kept(parts, name)]
    first = getattr(parts[0], name)
    found, done = np.empty((sum(lengths), *first.shape[1:]), first.dtype), 0
    for part, length in zip(parts, lengths, strict=True):
        array = getattr(part, name)
        if found.dtype != array.dtype:
            found = found.astype(np.result_type(found, array), copy=False)
        found[done : done + length] = array
        done += length
    return pack(found)


def _kept(parts: Sequence[Any], name: str) -> list[Packed | Array]:
    return [part.__dict__[name] for part in parts]


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


def shared(array: Packed | Array, others: Iterable[Any], name: str) -> Any:
    """The field of the first of the others that has the same bits, to be kept once; else what was given."""
    for other in (each.__dict__[name] for each in others):
        if isinstance(array, Packed) or isinstance(other, Packed) or array.shape != other.shape:
            continue
        both = zip(_parts(array), _parts(other), strict=True)
        if array.dtype == other.dtype and all(_same_bits(one, two) for one, two in both):
            return other
    return array
