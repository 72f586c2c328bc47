"""HDF5 files that the reader here reads: made in memory, the same content as the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import h5py
import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.hdf5.file import LIMITS

NAMES = f"use 1 to {LIMITS.name_length} printable characters without '/'"
_STORAGE = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


def hdf5_bytes(fill: Callable[[h5py.File], None]) -> bytes:
    """The bytes of a file with what ``fill`` writes into it.

    In memory, as HDF5 does not survive a disk that is full when it closes a file there.
    """
    with h5py.File("memory", "w", driver="core", backing_store=False, libver="earliest") as file:
        fill(file)
        file.flush()
        return bytes(file.id.get_file_image())


def storable(name: object) -> TypeGuard[str]:
    """Whether the reader takes a name."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= LIMITS.name_length
        and name.isprintable()
        and "/" not in name
        and name != "."
    )


def write_value(group: h5py.Group, key: object, value: Any, where: str) -> None:
    """Store a mapping as a group, and a string, a list of strings, a number or an array as a data set.

    Raises
    ------
    GraphError
        A name or a value cannot be stored; names it, after ``where``.
    """
    if not storable(key):
        raise GraphError(f"{where}: key {key!r} cannot be stored; {NAMES}")
    if isinstance(value, Mapping):
        inner = group.create_group(key)
        if inner.name.count("/") >= LIMITS.depth:
            raise GraphError(f"{where}: groups are nested deeper than {LIMITS.depth}")
        for name in sorted(value, key=str):
            write_value(inner, name, value[name], f"{where}/{name}")
        return
    array = np.asarray(value)
    if array.dtype.kind == "U" and array.ndim <= 1:
        if any("\0" in text for text in ([value] if array.ndim == 0 else value)):
            raise GraphError(f"{where} {value!r:.100}: a zero character cannot be stored; leave it out")
        data = str(value) if array.ndim == 0 else array.astype(object)
        group.create_dataset(key, data=data, dtype=h5py.string_dtype())
    elif (array.dtype.kind in "fiub" and array.dtype.itemsize <= 8) or isinstance(value, np.bytes_):
        group.create_dataset(key, data=array, **_STORAGE if array.size >= 64 else {})
    else:
        raise GraphError(
            f"{where}: a {type(value).__name__} cannot be stored; use str, bool, int, float or arrays"
        )
