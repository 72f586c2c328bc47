"""The directory of a zip file, bounded before :mod:`zipfile` reads all of it into memory."""

from __future__ import annotations

import struct
from typing import BinaryIO

MAX_DIRECTORY_BYTES = 4 * 2**20

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")


class ZipError(ValueError):
    """The file does not end as a zip file of one piece does, or has too many entries."""


def check_directory(stream: BinaryIO, size: int, max_entries: int) -> None:
    """Prove that a file of ``size`` bytes has exactly one directory, at its very end, of bounded length.

    Raises
    ------
    ZipError
    """
    tail_size = min(size, _END.size + _LOCATOR64.size + _END64.size)
    stream.seek(size - tail_size)
    tail = stream.read(tail_size)
    if len(tail) < _END.size:
        raise ZipError("no end record")
    signature, _, _, _, count, length, offset, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise ZipError("no end record")
    end = size - _END.size
    locator = tail[-_END.size - _LOCATOR64.size : -_END.size]
    if locator.startswith(b"PK\x06\x07") and len(tail) == _END.size + _LOCATOR64.size + _END64.size:
        end -= _LOCATOR64.size + _END64.size
        record = _END64.unpack(tail[: _END64.size])
        if record[0] != b"PK\x06\x06" or _LOCATOR64.unpack(locator)[2] != end:
            raise ZipError("inconsistent end records")
        count, length, offset = record[7:]
    if offset + length != end:
        raise ZipError("inconsistent end records")
    if length > MAX_DIRECTORY_BYTES or count > max_entries:
        raise ZipError(f"{count} zip entries, more than the limit of {max_entries}")
