"""Short ``repr`` of what holds arrays: their types and shapes instead of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from sne_deploy.text import middle_out, visible

C = TypeVar("C", bound=type)
_LENGTH = 1000
_ITEMS, _WIDTH = 4, 80
"""Of a tuple or mapping, as many are shown; of a text or of another value, so many characters."""


def briefly(cls: C) -> C:
    """Give a dataclass a ``repr`` of one line and at most about a thousand characters."""
    cls.__repr__ = _whole  # type: ignore[method-assign, assignment]
    return cls


def _whole(thing: Any) -> str:
    parts = (f"{field.name}={brief(getattr(thing, field.name))}" for field in fields(thing) if field.repr)
    return middle_out(f"{type(thing).__name__}({', '.join(parts)})", _LENGTH)


def brief(value: Any) -> str:
    """What a value is, in few words.

    An array is its dtype and shape, or its only value; a dataclass within another its type and its name.
    """
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]" if value.shape else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        name = getattr(value, "name", None)
        return f"{type(value).__name__}({'...' if name is None else brief(name)})"
    if isinstance(value, str | Path):
        return middle_out(repr(str(value)), _WIDTH)
    if isinstance(value, Mapping):
        shown = [f"{brief(key)}: {brief(value[key])}" for key in list(value)[:_ITEMS]]
        return f"{{{_joined(shown, len(value))}}}"
    if isinstance(value, tuple | list):
        shown = [brief(each) for each in value[:_ITEMS]]
        opening, closing = "()" if isinstance(value, tuple) else "[]"
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"{opening}{_joined(shown, len(value))}{comma}{closing}"
    return middle_out(visible(repr(value)), _WIDTH)


def _joined(shown: list[str], of: int) -> str:
    return ", ".join(shown) + (f", ... {of} in all" if of > len(shown) else "")
