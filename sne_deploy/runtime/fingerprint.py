"""What makes two runs the same: a digest of values of ours, whatever they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from scipy import sparse

REGISTERS = "registers"
"""What follows from all else, as it should: it is named where nothing else differs."""
_SHOWN = 40
"""Characters of a value, at most, that is no digest."""
_BLOCK = 2**24
"""Bytes of an array that are copied at a time, where it is not in one piece."""


def digest(value: Any) -> str:
    """SHA-256 of what a value holds: dataclasses, mappings, sequences, arrays, plain values, classes.

    Mappings are taken in the order of their keys, so that nothing depends on how they were made.

    Raises
    ------
    TypeError
        It holds something else.
    """
    found = hashlib.sha256()
    _add(value, found.update)
    return found.hexdigest()


def _add(value: Any, update: Callable[[Any], object]) -> None:
    if isinstance(value, np.ndarray):
        update(f"array {value.dtype.str} {value.shape};".encode())
        _add_array(value, update)
    elif is_dataclass(value) and not isinstance(value, type):
        _add({"": type(value).__qualname__, **_of_fields(value)}, update)
    elif isinstance(value, sparse.csr_matrix):
        _add((value.shape, value.data, value.indices, value.indptr), update)
    elif isinstance(value, Mapping):
        update(f"mapping {len(value)};".encode())
        for key in sorted(value, key=str):
            _add(key, update)
            _add(value[key], update)
    elif isinstance(value, (tuple, list)):
        update(f"sequence {len(value)};".encode())
        for each in value:
            _add(each, update)
    elif isinstance(value, np.generic):
        _add(value.item(), update)
    elif value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        text = repr(value).encode()
        update(f"{type(value).__name__} {len(text)};".encode() + text)
    elif isinstance(value, type):
        update(f"class {value.__qualname__};".encode())
    else:
        raise TypeError(f"no digest of a {type(value).__qualname__}")


def _of_fields(value: Any) -> dict[str, Any]:
    return {part.name: getattr(value, part.name) for part in fields(value)}


def _add_array(values: np.ndarray[Any, Any], update: Callable[[Any], object]) -> None:
    if values.dtype.hasobject:
        raise TypeError("no digest of an array of objects")
    if values.flags.c_contiguous:
        update(values.reshape(-1).view(np.uint8).data if values.size else b"")
        return
    rows = max(1, _BLOCK // max(1, values[:1].nbytes)) if values.ndim else 1
    for first in range(0, len(values), rows):
        update(np.ascontiguousarray(values[first : first + rows]).reshape(-1).view(np.uint8).data)


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """What is not the same, in words: short values are named, digests are not.

    Parameters
    ----------
    ours, theirs : mapping of str to str
        What this run is made with, and another one was.
    """
    found = []
    for name in sorted({*ours, *theirs} - {REGISTERS}):
        here, there = ours.get(name), theirs.get(name)
        if here == there:
            continue
        if here is None or there is None or max(len(here), len(there)) > _SHOWN:
            found.append(f"another {name}")
        else:
            found.append(f"{name} {there}, not {here}")
    if not found and ours.get(REGISTERS) != theirs.get(REGISTERS):
        found.append(f"other {REGISTERS}")
    return found
