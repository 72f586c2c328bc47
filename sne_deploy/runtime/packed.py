"""Counts of many samples in as few bytes as hold them; what reads a field gets what was put there.

An array of ``FROM`` samples or more is kept as one row, where all are alike, in the narrowest type that gives
the same bits back, or as numbers of its distinct values, where these are few. Consecutive samples are joined
by keeping their arrays beside each other. Reading makes the array anew, for as long as the reader keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
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


@dataclass(frozen=True, eq=False)
class Joined:
    """Arrays of consecutive samples, as each is kept."""

    pieces: tuple[Packed | Array, ...]

    @property
    def samples(self) -> int:
        """Of all."""
        return sum(map(_length, self.pieces))

    def whole(self) -> Array:
        """The array; not to be written into."""
        first = next(self.each())
        dtype = np.result_type(*(piece.dtype for piece in self.pieces))
        found, done = np.empty((self.samples, *first.shape[1:]), dtype), 0
        for array in self.each():
            found[done : done + len(array)] = array
            done += len(array)
        return found

    def each(self) -> Iterator[Array]:
        """One after the other."""
        return (piece.whole() if isinstance(piece, Packed) else piece for piece in self.pieces)


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
    """An array of all parts' samples; what is small, or a recording, becomes one with what is beside it."""
    pieces: list[Packed | Array] = []
    for part in parts:
        kept = part.__dict__[name]
        pieces += kept.pieces if isinstance(kept, Joined) else [kept]
    found: list[Packed | Array] = []
    for alone, group in groupby(pieces, lambda piece: isinstance(piece, Packed) or _stays(piece)):
        several: list[Any] = list(group)
        found += several if alone else [pack(np.concatenate(several))]
    return found[0] if len(found) == 1 else Joined(tuple(found))


def _stays(array: Array) -> bool:
    """Whether it was tried in vain to pack it."""
    return len(array) >= FROM and array.ndim <= 2


def _length(piece: Packed | Array) -> int:
    return piece.samples if isinstance(piece, Packed) else len(piece)


def blocks(instance: Any, name: str) -> Iterator[Array]:
    """A packed field of an instance, some consecutive samples at a time."""
    kept = instance.__dict__[name]
    return kept.each() if isinstance(kept, Joined) else iter([getattr(instance, name)])


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
        return found.whole() if isinstance(found, Packed | Joined) else found

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = pack(value) if isinstance(value, np.ndarray) else value


def shared(array: Packed | Joined | Array, others: Iterable[Any], name: str) -> Any:
    """The field of the first of the others that has the same bits, to be kept once; else what was given."""
    given = pack(array) if isinstance(array, np.ndarray) else array
    return next((other for other in (each.__dict__[name] for each in others) if _alike(given, other)), given)


def _alike(one: Packed | Joined | Array | None, other: Packed | Joined | Array | None) -> bool:
    """Whether they are kept as the same bits."""
    if isinstance(one, Joined) and isinstance(other, Joined):
        return len(one.pieces) == len(other.pieces) and all(map(_alike, one.pieces, other.pieces))
    if isinstance(one, Packed) and isinstance(other, Packed):
        same = (one.samples, one.dtype) == (other.samples, other.dtype)
        return same and _alike(one.values, other.values) and _alike(one.distinct, other.distinct)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return all(_same_bits(*both) for both in zip(_parts(one), _parts(other), strict=True))
    return one is None and other is None
