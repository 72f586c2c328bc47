"""The zip file around a ``model.pt``: bounded and checked before anything in it is trusted."""

from __future__ import annotations

import os
import re
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from sne_deploy.errors import CheckpointError
from sne_deploy.files import open_regular
from sne_deploy.zips import check_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_FILE_BYTES = 2**30
"""Largest ``model.pt``: 268 million float32 weights, far beyond what a Loihi system holds."""
MAX_PICKLE_BYTES = 16 * 2**20
"""Largest ``data.pkl``: everything but the tensors' values."""
MAX_ENTRIES = 20_000
MAX_SMALL_BYTES = 256

REMEDY = "save the model with sne.ensemble([...]).save('model.pt')"

_SMALL = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")


@dataclass(frozen=True, eq=False)
class Archive:
    """What was checked: every entry's bytes are as long as declared, and match their checksum.

    Attributes
    ----------
    pickle : bytes
        ``data.pkl``.
    storages : mapping of str to bytes
        ``data/<key>`` by key.
    """

    pickle: bytes
    storages: Mapping[str, bytes]


def read_archive(where: object, path: Path) -> Archive:
    """Open, bound and read a ``model.pt``'s zip file, which messages call ``where``.

    Raises
    ------
    CheckpointError
        Missing, empty, not a zip file of ours, larger than a limit, compressed, damaged or truncated.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            _check_kind(where, stream, size)
            check_directory(stream, size, MAX_ENTRIES)
            with zipfile.ZipFile(stream) as archive:
                names = _check_entries(where, archive.infolist(), size)
                content = {name: archive.read(info) for name, info in names.items()}
    except OSError as error:
        raise CheckpointError(
            f"cannot read {where}: {error.strerror or error}; give the path of a model.pt"
        ) from error
    except (zipfile.BadZipFile, EOFError, ValueError, struct.error, NotImplementedError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise _damaged(where, str(error) or type(error).__name__) from error
    if content.get("byteorder", b"little") != b"little":
        raise CheckpointError(f"{where}: byte order {content['byteorder'][:16]!r} is not little; {REMEDY}")
    storages = {name[5:]: data for name, data in content.items() if name.startswith("data/")}
    return Archive(content["data.pkl"], storages)


def _damaged(where: object, why: str) -> CheckpointError:
    return CheckpointError(f"{where}: damaged or truncated zip file ({why}); copy it again, or {REMEDY}")


def _check_kind(where: object, stream: BinaryIO, size: int) -> None:
    if size == 0:
        raise CheckpointError(f"{where}: the file is empty; {REMEDY}")
    if size > MAX_FILE_BYTES:
        raise CheckpointError(
            f"{where}: {size} bytes, more than the limit of {MAX_FILE_BYTES} for a model.pt"
        )
    start = stream.read(512)
    if start.startswith(b"PK\x03\x04"):
        return
    if start.startswith(b"\x80") or start[257:262] == b"ustar":
        kind = "a pickle or a model in torch's legacy format, which can run code when it is read"
    elif start.startswith(b"\x89HDF\r\n\x1a\n"):
        kind = "an HDF5 file; name it .nir or .net if it is one, else"
        raise CheckpointError(f"{where}: {kind} {REMEDY}")
    else:
        kind = "not a model.pt: no zip file starts here"
    raise CheckpointError(f"{where}: {kind}; {REMEDY}")


def _check_entries(where: object, entries: list[zipfile.ZipInfo], size: int) -> dict[str, zipfile.ZipInfo]:
    """Entries by their name below the archive's folder."""
    if len(entries) > MAX_ENTRIES:
        raise CheckpointError(f"{where}: {len(entries)} zip entries, more than the limit of {MAX_ENTRIES}")
    prefix = entries[0].filename.split("/", 1)[0] + "/" if entries else ""
    names: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.removeprefix(prefix)
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise CheckpointError(
                f"{where}: zip entry {entry.filename[:80]!r} is compressed, must be stored; {REMEDY}"
            )
        if entry.flag_bits & 1:
            raise CheckpointError(f"{where}: zip entry {entry.filename[:80]!r} is encrypted; {REMEDY}")
        if entry.filename == name or not _known(name):
            raise CheckpointError(f"{where}: unexpected zip entry {entry.filename[:80]!r}; {REMEDY}")
        if name in names:
            raise CheckpointError(f"{where}: zip entry {entry.filename[:80]!r} appears twice; {REMEDY}")
        limit = MAX_PICKLE_BYTES if name == "data.pkl" else MAX_SMALL_BYTES if name in _SMALL else size
        if entry.file_size > limit:
            raise CheckpointError(
                f"{where}: zip entry {entry.filename[:80]!r} claims {entry.file_size} bytes, limit {limit}"
            )
        names[name] = entry
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(f"{where}: the zip entries claim more bytes than the file's {size}; {REMEDY}")
    if "data.pkl" not in names:
        raise CheckpointError(f"{where}: a zip file without data.pkl, not a model.pt; {REMEDY}")
    return names


def _known(name: str) -> bool:
    return name in ("data.pkl", *_SMALL) or re.fullmatch(r"data/(0|[1-9][0-9]{0,5})", name) is not None
