"""Fields of a ``.net`` file's groups: typed, checked, and named where they are wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError

Array = npt.NDArray[Any]
_LARGEST = 2**31 - 1


class Fields:
    """One group of the file.

    Parameters
    ----------
    tree : mapping
        As :func:`sne_deploy.frontend.hdf5.file.read_hdf5` gives it.
    label : str
        How messages name the group.
    """

    def __init__(self, tree: Mapping[str, Any], label: str) -> None:
        self._tree, self.label = tree, label

    def __contains__(self, name: str) -> bool:
        return name in self._tree

    def names(self) -> set[str]:
        """Of all fields."""
        return set(self._tree)

    def wrong(self, name: str, text: str) -> GraphError:
        """An error about a field."""
        return GraphError(f"{self.label + ': ' if self.label else ''}field {name!r} {text}")

    def check_known(self, known: Collection[str]) -> None:
        """Refuse fields whose meaning is not known."""
        unknown = sorted(self.names() - set(known))
        if unknown:
            raise GraphError(f"{self.label}: unknown field {', '.join(map(repr, unknown))}")

    def is_group(self, name: str) -> bool:
        """Whether a field is there and is a group."""
        return isinstance(self._tree.get(name), Mapping)

    def relabelled(self, label: str) -> Fields:
        """The same group under another name."""
        return Fields(self._tree, label)

    def group(self, name: str, label: str | None = None) -> Fields:
        """A group in this one."""
        value = self.raw(name)
        if not isinstance(value, Mapping):
            raise self.wrong(name, "must be a group")
        return Fields(value, label or (f"{self.label}, {name}" if self.label else name))

    def text(self, name: str) -> str:
        """A string, or a list of one."""
        value = self.raw(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of strings, which may be empty or missing."""
        value = self._tree.get(name, [])
        if isinstance(value, np.ndarray) and value.size == 0:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, "must be a list of strings")
        return list(value)

    def integers(self, name: str) -> Array:
        """Whole numbers below 2^31, whatever they are stored as; int32, of the stored shape."""
        value = self.numbers(name)
        if value.dtype.kind == "f":
            whole = np.isfinite(value) & (np.rint(value) == value)
            if not bool(np.all(whole)):
                raise self.wrong(name, f"holds {value[~whole].flat[0]:g}, which is no whole number")
        low, high = float(value.min()), float(value.max())
        if low < -_LARGEST or high > _LARGEST:
            raise self.wrong(name, f"reaches {low:g}..{high:g}, more than 31 bits")
        return np.asarray(value, dtype=np.int32)

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """One whole number from low to high, stored as a scalar or as an array of one."""
        if default is not None and name not in self:
            return default
        value = self.integers(name)
        if value.size != 1:
            raise self.wrong(name, f"has {value.size} values, must have one")
        number = int(value.reshape(()))
        if not low <= number <= high:
            raise self.wrong(name, f"is {number}, outside {low}..{high}")
        return number

    def each(self, name: str, high: int, shapes: Collection[tuple[int, ...]]) -> int | Array:
        """Whole numbers from 0 to high: one, or an array of one of some shapes."""
        value = self.integers(name)
        if value.size == 1:
            return self.integer(name, 0, high)
        if value.shape not in shapes:
            allowed = " or ".join(map(str, shapes))
            raise self.wrong(name, f"has shape {value.shape}, must be one value or have {allowed}")
        if int(value.min()) < 0 or int(value.max()) > high:
            raise self.wrong(name, f"reaches {int(value.min())}..{int(value.max())}, outside 0..{high}")
        return value

    def number(self, name: str) -> float:
        """One finite number."""
        value = self.numbers(name)
        if value.size != 1 or not bool(np.all(np.isfinite(value))):
            raise self.wrong(name, "must be one finite number")
        return float(value.reshape(()))

    def reals(self, name: str) -> Array:
        """Finite numbers as float64."""
        value = self.numbers(name).astype(np.float64)
        if not bool(np.all(np.isfinite(value))):
            raise self.wrong(name, "holds NaN or infinity")
        return value

    def sizes(self, name: str, lengths: Collection[int]) -> tuple[int, ...]:
        """Sizes from 1, as many as one of ``lengths``; their product stays below 2^31."""
        value = self.integers(name).reshape(-1)
        if len(value) not in lengths or int(value.min()) < 1:
            raise self.wrong(name, f"is {value.tolist()!s:.100}, must be {_several(lengths)} sizes from 1")
        shape = tuple(int(size) for size in value)
        if float(np.prod(value.astype(np.float64))) > _LARGEST:
            raise self.wrong(name, f"is {shape}, more than {_LARGEST} neurons")
        return shape

    def pair(self, name: str, low: int, default: int) -> tuple[int, int]:
        """(h, w): one number for both, or two."""
        if name not in self:
            return default, default
        value = self.integers(name).reshape(-1)
        if len(value) not in (1, 2) or int(value.min()) < low or int(value.max()) > 127:
            raise self.wrong(
                name, f"is {value.tolist()!s:.100}, must be one or two numbers from {low} to 127"
            )
        return int(value[0]), int(value[-1])

    def numbers(self, name: str) -> Array:
        """An array of numbers or booleans, as stored."""
        value = self.raw(name)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iufb" or value.size == 0:
            raise self.wrong(name, "must hold numbers")
        return value

    def raw(self, name: str) -> Any:
        """Whatever is stored."""
        if name not in self._tree:
            raise GraphError(f"{self.label}: field {name!r} is missing")
        return self._tree[name]


def _several(lengths: Collection[int]) -> str:
    return " or ".join(str(length) for length in sorted(lengths))
