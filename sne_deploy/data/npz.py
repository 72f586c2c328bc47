"""A NumPy ``.npz`` file with ``x``, and ``y`` if the labels are known."""

from __future__ import annotations

import math
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from sne_deploy.data.dataset import MAX_DATA_BYTES, Array, Split
from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

MAX_MEMBERS = 64


def load_npz(_split: Split, path: Path | None) -> tuple[Array, Array | None]:
    """Read ``x`` and ``y``; nothing is unpickled, and every size is checked before memory is taken.

    Raises
    ------
    DataError
        Missing, damaged, without ``x``, of pickled objects, or larger than ``MAX_DATA_BYTES``.
    """
    if path is None:
        raise DataError("data npz needs a file: FILE.npz")
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = _members(path, archive)
            if "x" not in members:
                found = ", ".join(members)[:100] or "nothing"
                raise DataError(
                    f"{path}: has no array x (found: {found}); write it with np.savez(path, x=..., y=...)"
                )
            x = _read(path, archive, members["x"])
            y = _read(path, archive, members["y"]) if "y" in members else None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; give a FILE.npz") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: damaged or not an .npz file ({error}); write it with np.savez") from error
    return x, y


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise DataError(f"{path}: {len(entries)} arrays, limit {MAX_MEMBERS}; keep x and y alone")
    return {entry.filename.removesuffix(".npy"): entry for entry in entries}


def _read(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """Read one array: the header's claim must be what the zip file says, and within the limit."""
    name = f"{path}: array {entry.filename.removesuffix('.npy')}"
    if entry.file_size > MAX_DATA_BYTES:
        raise DataError(f"{name} has {entry.file_size} bytes, limit {MAX_DATA_BYTES}; split the file")
    with archive.open(entry) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
            else:
                raise DataError(f"{name} has an unknown format version {version}; write it with np.savez")
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{name} is not in NumPy's format; write it with np.savez") from error
        if dtype.kind not in "buif":
            raise DataError(
                f"{name} has dtype {dtype!s:.40}, must hold numbers; pickled objects are never read"
            )
        size = math.prod(shape) * dtype.itemsize
        if any(length < 0 for length in shape) or size != entry.file_size - stream.tell():
            raise DataError(f"{name} claims shape {shape}, which its {entry.file_size} bytes do not hold")
        data = stream.read(size)
    if len(data) != size:
        raise DataError(f"{name} is truncated; write the file again")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
