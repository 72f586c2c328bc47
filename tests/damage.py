"""Good files made bad, byte by byte: what a seed damages is the same everywhere."""

from __future__ import annotations

import io
import struct

import h5py
import numpy as np

SIGNATURES = (
    b"TREE",
    b"SNOD",
    b"HEAP",
    b"GCOL",
    b"OHDR",
    b"OCHK",
    b"FRHP",
    b"FHDB",
    b"BTHD",
    b"BTLF",
    b"FADB",
)
"""Starts of HDF5's structures."""
NUMBERS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


class Damage:
    """Damages one file.

    Parameters
    ----------
    data : bytes
    others : list of bytes
        Other files, from which pieces are taken.
    marks : int array
        Positions to damage first.
    rng : np.random.Generator
    """

    def __init__(self, data, others, marks, rng):
        self.data, self.others, self.marks, self.rng = bytearray(data), others, marks, rng

    def apply(self):
        """One to four damages, sometimes with checksums that fit; the file, and what was done."""
        kinds = [self.bits, self.bytes, self.number, self.number, self.address, self.zero, self.splice]
        kinds += [self.exchange, self.cut, self.insert, self.delete, self.truncate, self.prefix, self.append]
        done = []
        for _ in range(int(self.rng.choice((1, 1, 1, 2, 3, 4)))):
            kind = kinds[int(self.rng.integers(len(kinds)))]
            kind()
            done.append(kind.__name__)
        if self.rng.random() < 0.7:
            repair(self.data)
            done.append("repair")
        return bytes(self.data), "+".join(done)

    def position(self):
        """Mostly in the metadata, and there mostly where something stands."""
        if self.rng.random() < 0.8:
            return min(int(self.rng.choice(self.marks)), len(self.data) - 1)
        return int(self.rng.integers(len(self.data)))

    def below(self, limit):
        return int(self.rng.integers(1, max(2, limit)))

    def bits(self):
        for _ in range(self.below(8)):
            self.data[self.position()] ^= 1 << int(self.rng.integers(8))

    def bytes(self):
        for _ in range(self.below(8)):
            self.data[self.position()] = int(self.rng.integers(256))

    def number(self):
        """A whole little-endian number."""
        size = int(self.rng.choice((1, 2, 4, 8)))
        start = self.position() // size * size
        value = int(NUMBERS[int(self.rng.integers(len(NUMBERS)))]) % 256**size
        self.data[start : start + size] = value.to_bytes(size, "little")

    def address(self):
        """A number that is the address of a structure, another one or the one it stands in."""
        starts = structures(bytes(self.data)) or [0]
        value = starts[int(self.rng.integers(len(starts)))]
        start = self.position() // 8 * 8
        self.data[start : start + 8] = value.to_bytes(8, "little")

    def zero(self):
        start = self.position()
        size = min(self.below(200), len(self.data) - start)
        self.data[start : start + size] = bytes(size)

    def piece(self, source):
        starts = structures(source) if self.rng.random() < 0.5 else []
        start = starts[int(self.rng.integers(len(starts)))] if starts else int(self.rng.integers(len(source)))
        return source[start : start + self.below(600)]

    def splice(self):
        """A piece of another file over this one."""
        piece = self.piece(self.others[int(self.rng.integers(len(self.others)))])
        start = self.position()
        self.data[start : start + len(piece)] = piece

    def exchange(self):
        """A piece of this file over another place of it."""
        piece = self.piece(bytes(self.data))
        starts = structures(bytes(self.data)) or [self.position()]
        start = starts[int(self.rng.integers(len(starts)))] if self.rng.random() < 0.5 else self.position()
        self.data[start : start + len(piece)] = piece

    def cut(self):
        """One page of zeros, in the middle."""
        start = self.position() // 512 * 512
        self.data[start : start + 512] = bytes(min(512, len(self.data) - start))

    def insert(self):
        start = self.position()
        self.data[start:start] = self.rng.bytes(self.below(64))

    def delete(self):
        start, size = self.position(), len(self.data)
        del self.data[start : start + self.below(64)]
        self.data += bytes(size - len(self.data))

    def truncate(self):
        del self.data[max(1, int(self.rng.integers(len(self.data)))) :]

    def prefix(self):
        """A user block, with which addresses count from another place."""
        self.data[0:0] = self.rng.bytes(512 << int(self.rng.integers(3)))

    def append(self):
        self.data += self.rng.bytes(self.below(2000))


def structures(data):
    """Addresses of structures with a signature."""
    found = []
    for mark in SIGNATURES:
        start = data.find(mark)
        while start >= 0:
            found.append(start)
            start = data.find(mark, start + 1)
    return sorted(found)


def repair(data):
    """Make the checksums of the superblock and of all object headers fit, as whoever means harm would."""
    start = data.find(b"\x89HDF\r\n\x1a\n")
    if start >= 0 and data[start + 8 : start + 9] in (b"\2", b"\3"):
        _seal(data, start, start + 44)
    for start in structures(data):
        if data[start : start + 5] == b"OHDR\2" and start + 16 < len(data):
            flags = data[start + 5]
            times, phases, width = 16 * (flags >> 5 & 1), 4 * (flags >> 4 & 1), 1 << (flags & 3)
            head = start + 6 + times + phases
            _seal(data, start, head + width + int.from_bytes(data[head : head + width], "little"))


def _seal(data, start, end):
    if end + 4 <= len(data) and end - start < 4096:
        data[end : end + 4] = lookup3(bytes(data[start:end])).to_bytes(4, "little")


def _rotated(value, count):
    return (value << count | value >> (32 - count)) & 0xFFFFFFFF


def lookup3(data):
    """HDF5's checksum of metadata: Bob Jenkins' hashlittle of May 2006, from 0."""
    a = b = c = 0xDEADBEEF + len(data) & 0xFFFFFFFF
    position = 0
    while True:
        words = struct.unpack("<3I", data[position : position + 12].ljust(12, b"\0"))
        a, b, c = (x + y & 0xFFFFFFFF for x, y in zip((a, b, c), words, strict=True))
        position += 12
        if position >= len(data):
            break
        for count in (4, 6, 8, 16, 19, 4):
            a = (a - c & 0xFFFFFFFF) ^ _rotated(c, count)
            c = c + b & 0xFFFFFFFF
            a, b, c = b, c, a
    for count in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotated(b, count) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b if data else 0xDEADBEEF


def metadata(data):
    """Positions that are not a data set's numbers, and around which something stands."""
    image = np.frombuffer(data, np.uint8)
    busy = np.convolve(image != 0, np.ones(9), "same") > 0
    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(lambda _, item: _leave_out(busy, item))
    return np.flatnonzero(busy)


def _leave_out(busy, item):
    if isinstance(item, h5py.Dataset) and item.dtype.kind != "O":
        offset = item.id.get_offset()
        if offset is not None:
            busy[offset : offset + item.id.get_storage_size()] = False
