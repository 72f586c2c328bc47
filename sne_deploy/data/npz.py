"""A NumPy ``.npz`` file with ``x``, and ``y`` if the labels are known."""

from __future__ import annotations

import contextlib
import os
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from sne_deploy.data.arrays_on_disk import Header, read_header, read_values
from sne_deploy.data.dataset import MAX_DATA_BYTES, Array, Split
from sne_deploy.errors import DataError
from sne_deploy.files import open_regular
from sne_deploy.zips import ZipError, check_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO

MAX_MEMBERS = 64
MAX_SMALL_BYTES = 2**28
MAX_RATIO = 100
"""How far a file may have been compressed that unpacks to more than ``MAX_SMALL_BYTES``."""
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ZipError,
)
_REMEDY = "write it with np.savez"


def load_npz(_split: Split, path: Path | None) -> tuple[Array, Array | None]:
    """Read ``x`` and ``y``; nothing is unpickled, and every size is checked before memory is taken.

    Raises
    ------
    DataError
        Missing, damaged, without ``x``, of pickled objects, or larger than ``MAX_DATA_BYTES``.
    """
    if path is None:
        raise DataError("data npz needs a file: FILE.npz")
    with opened_npz(path) as archive:
        members = _samples(path, archive)
        y = read_entry(path, archive, members["y"]) if "y" in members else None
        return read_entry(path, archive, members["x"]), y


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Read those of the named arrays that a file holds; as :func:`load_npz`."""
    with opened_npz(path) as archive:
        members = _members(archive)
        return {name: read_entry(path, archive, members[name]) for name in names if name in members}


def npz_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of ``x`` from its header alone.

    Raises
    ------
    DataError
        As :func:`load_npz`.
    """
    with opened_npz(path) as archive:
        entry = _samples(path, archive)["x"]
        with archive.open(entry) as stream:
            return _header(path, entry, stream).shape


@contextlib.contextmanager
def opened_npz(path: Path, members: int = MAX_MEMBERS, remedy: str = _REMEDY) -> Iterator[zipfile.ZipFile]:
    """Open a file of ``members`` at most; what is wrong with it, here or in the block, is a DataError."""
    try:
        with open_regular(path) as stream:
            check_directory(stream, os.fstat(stream.fileno()).st_size, members)
            with zipfile.ZipFile(stream) as archive:
                yield archive
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; give a FILE.npz") from error
    except _DAMAGES as error:
        raise DataError(f"{path}: damaged or not an .npz file ({error}); {remedy}") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}


def _samples(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = _members(archive)
    if "x" not in members:
        found = ", ".join(members)[:100] or "nothing"
        raise DataError(f"{path}: has no array x (found: {found}); write it with np.savez(path, x=x, y=y)")
    return members


def read_entry(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """Read one array, whose size is checked before memory is taken; nothing is unpickled."""
    with archive.open(entry) as stream:
        header = _header(path, entry, stream)
        return read_values(_name(path, entry), stream, header)


def _name(path: Path, entry: zipfile.ZipInfo) -> str:
    return f"{path}: array {entry.filename.removesuffix('.npy')[:80]}"


def _header(path: Path, entry: zipfile.ZipInfo, stream: IO[bytes]) -> Header:
    """The claim must be what the zip file holds, and within the limits."""
    name, packed, size = _name(path, entry), entry.compress_size, entry.file_size
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{name} is compressed by method {entry.compress_type}; {_REMEDY}")
    if size > MAX_DATA_BYTES:
        raise DataError(f"{name} has {size} bytes, limit {MAX_DATA_BYTES}; split the file")
    if size > MAX_SMALL_BYTES and size > MAX_RATIO * packed:
        raise DataError(
            f"{name} unpacks {packed} bytes to {size}, more than {MAX_RATIO} to 1, the limit above "
            f"{MAX_SMALL_BYTES} bytes; write it uncompressed, with np.savez"
        )
    header = read_header(name, stream)
    held = size - stream.tell()
    if header.nbytes != held:
        raise DataError(
            f"{name} claims shape {header.shape} of {header.dtype}, but holds {held} bytes; write it again"
        )
    return header
