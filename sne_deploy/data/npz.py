"""A NumPy ``.npz`` file with ``x``, and ``y`` if the labels are known."""

from __future__ import annotations

import contextlib
import math
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from sne_deploy.data.dataset import MAX_DATA_BYTES, Array, Split
from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
from typing import IO, Any

MAX_MEMBERS = 64

_HEADERS: Mapping[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def load_npz(_split: Split, path: Path | None) -> tuple[Array, Array | None]:
    """Read ``x`` and ``y``; nothing is unpickled, and every size is checked before memory is taken.

    Raises
    ------
    DataError
        Missing, damaged, without ``x``, of pickled objects, or larger than ``MAX_DATA_BYTES``.
    """
    if path is None:
        raise DataError("data npz needs a file: FILE.npz")
    with _opened(path) as archive:
        members = _members(path, archive)
        y = _read(path, archive, members["y"]) if "y" in members else None
        return _read(path, archive, members["x"]), y


def npz_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of ``x`` from its header alone.

    Raises
    ------
    DataError
        As :func:`load_npz`.
    """
    with _opened(path) as archive:
        entry = _members(path, archive)["x"]
        with archive.open(entry) as stream:
            return _header(path, entry, stream)[0]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the file; whatever is wrong with it, here or in the block, becomes a DataError."""
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            yield archive
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; give a FILE.npz") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: damaged or not an .npz file ({error}); write it with np.savez") from error


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise DataError(f"{path}: {len(entries)} arrays, limit {MAX_MEMBERS}; keep x and y alone")
    members = {entry.filename.removesuffix(".npy"): entry for entry in entries}
    if "x" not in members:
        found = ", ".join(members)[:100] or "nothing"
        raise DataError(f"{path}: has no array x (found: {found}); write it with np.savez(path, x=x, y=y)")
    return members


def _read(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as stream:
        shape, fortran, dtype = _header(path, entry, stream)
        size = math.prod(shape) * dtype.itemsize
        data = stream.read(size)
    if len(data) != size:
        raise DataError(f"{path}: array {entry.filename} is truncated; write the file again")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _header(
    path: Path, entry: zipfile.ZipInfo, stream: IO[bytes]
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype: the claim must be what the zip file holds, and within the limit."""
    name = f"{path}: array {entry.filename.removesuffix('.npy')[:80]}"
    if entry.file_size > MAX_DATA_BYTES:
        raise DataError(f"{name} has {entry.file_size} bytes, limit {MAX_DATA_BYTES}; split the file")
    try:
        version = np.lib.format.read_magic(stream)
        read = _HEADERS.get(version)
        shape, fortran, dtype = ((), False, None) if read is None else read(stream)
    except ValueError as error:
        raise DataError(f"{name} is not in NumPy's format; write it with np.savez") from error
    if dtype is None:
        raise DataError(f"{name} has an unknown format version {version}; write it with np.savez")
    if dtype.kind not in "buif":
        raise DataError(f"{name} has dtype {dtype!s:.40}, must hold numbers; pickled objects are never read")
    held = entry.file_size - stream.tell()
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != held:
        raise DataError(f"{name} claims shape {shape} of {dtype}, but holds {held} bytes; write it again")
    return shape, fortran, dtype
