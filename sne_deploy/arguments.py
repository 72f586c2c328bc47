"""What Python callers give, checked like what is typed: the value in one type, or an InputError in one line.

NumPy's numbers count as Python's; True and False count as no numbers.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from sne_deploy.errors import InputError


def whole(name: str, value: Any, minimum: int, maximum: int = 2**31 - 1) -> int:
    """A whole number from ``minimum`` to ``maximum``."""
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise InputError(f"{name} {_said(value)} must be a whole number of at least {minimum}") from None
    if found < minimum:
        raise InputError(f"{name} {found} must be at least {minimum}")
    if found > maximum:
        raise InputError(f"{name} {found} must be at most {maximum}")
    return found


def number(name: str, value: Any) -> float:
    """A real number."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InputError(f"{name} {_said(value)} must be a number") from None


def shape(name: str, value: Any) -> tuple[int, ...]:
    """The sizes of one sample at one step: whole numbers above 0, or one of them for a vector."""
    several = entries(value)
    try:
        found = tuple(whole(name, entry, 1) for entry in ((value,) if several is None else several))
    except InputError:
        found = ()
    if not found:
        raise InputError(f"{name} {_said(value)} is no shape; give sizes above 0, such as (2, 34, 34) or 784")
    return found


def choice(name: str, value: Any, known: Collection[str]) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} {_said(value)} is not one of {', '.join(known)}")
    return value


def file_path(name: str, value: Any) -> Path:
    """A path."""
    if not isinstance(value, (str, os.PathLike)):
        raise InputError(f"{name} {_said(value)} must be a path")
    return Path(value)


def entries(value: Any) -> list[Any] | None:
    """What a list or the like holds; None for a text, or for what cannot be gone through."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return None
    try:
        return list(value)
    except TypeError:  # a tensor or an array without axes
        return None


def numbers(name: str, value: Any, count: int) -> tuple[float, ...]:
    """Some real numbers."""
    found = entries(value)
    if found is None or len(found) != count:
        raise InputError(f"{name} {_said(value)} must be {count} numbers")
    return tuple(number(name, entry) for entry in found)


def function(name: str, value: Any) -> Any:
    """Something to call."""
    if not callable(value):
        raise InputError(f"{name} {_said(value)} must be a function")
    return value


def text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise InputError(f"{name} {_said(value)} must be a text")
    return value


def instance(name: str, value: Any, kind: type, remedy: str) -> Any:
    """An object of a class."""
    if not isinstance(value, kind):
        raise InputError(f"{name} {_said(value)} must be a {kind.__name__}: {remedy}")
    return value


def _said(value: Any) -> str:
    """A short text for any object: what it is where that is short and plain, else its class."""
    plain = isinstance(value, (str, int, float, tuple, list, type(None))) and len(repr(value)) <= 60
    return repr(value) if plain else f"(a {type(value).__name__})"
