"""HDF5 trees as plain data, and what may stand in one although it has no place in a graph.

A dict is a group; numbers, arrays, strings and nested lists of strings are data sets; a callable writes
itself, given the group, the name (bytes) and the folder that holds files which nobody may open.
"""

from __future__ import annotations

import h5py
import numpy as np

MARKER = 123456789.0
"""Stands in the files outside, and must never be seen in a graph."""


def write_tree(path, tree, outside, **options):
    with h5py.File(path, "w", **options) as file:
        write_group(file, tree, outside)


def write_group(group, tree, outside):
    for name, value in tree.items():
        raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
        if callable(value):
            value(group, raw, outside)
        elif isinstance(value, dict):
            write_group(group.create_group(raw), value, outside)
        elif isinstance(value, (str, list)):
            text = np.array(value, dtype=object) if value else np.zeros((0, 2), dtype=object)
            group.create_dataset(raw, data=text, dtype=h5py.string_dtype())
        else:
            group.create_dataset(raw, data=value)


def make_outside(folder):
    """The files that nobody may open: HDF5, and bytes."""
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.full(4, MARKER)
        file["node/type"] = "NIRGraph"
    (folder / "raw.bin").write_bytes(np.full(4, MARKER).tobytes())


def _dataset(**options):
    return lambda group, name, outside: group.create_dataset(name, **options)


def _link(make):
    def write(group, name, outside):
        group[name] = make(group, outside)

    return write


def _virtual(name_of_source, shape, maxshape):
    def write(group, name, outside):
        layout = h5py.VirtualLayout(shape=shape, dtype="f8", maxshape=maxshape)
        source = h5py.VirtualSource(outside / name_of_source, "x", shape=(4,), maxshape=maxshape)
        layout[:] = source[:]
        group.create_virtual_dataset(name, layout)

    return write


def _unlimited_virtual(group, name, outside):
    """One source file per block, found by counting, when the size is asked for."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    space = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,))
    space.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (4,), (4,))
    source = h5py.h5s.create_simple((4,))
    plist.set_virtual(space, bytes(outside / "other%b.h5"), b"x", source)
    h5py.h5d.create(group.id, name, h5py.h5t.IEEE_F64LE, space, plist)


def _external(group, name, outside):
    group.create_dataset(name, shape=(4,), dtype="f8", external=[(outside / "raw.bin", 0, 32)])


def _low_level(stored, shape=(4,), chunk=None, filters=()):
    def write(group, name, outside):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if chunk:
            plist.set_chunk(chunk)
        for code, values in filters:
            plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, values)
        h5py.h5d.create(group.id, name, stored(), h5py.h5s.create_simple(shape), plist)

    return write


def _int_of(bits):
    def stored():
        kind = h5py.h5t.STD_I32LE.copy()
        kind.set_precision(bits)
        return kind

    return stored


def _small_float():
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(14, 9, 5, 0, 9)
    kind.set_precision(15)
    kind.set_size(2)
    return kind


def _references(group, name, outside):
    group.create_dataset(name, data=group.file["/"].ref, dtype=h5py.ref_dtype)


def _regions(group, name, outside):
    data = group.create_dataset(name + b"_of", data=np.arange(4.0))
    group.create_dataset(name, data=data.regionref[1:3], dtype=h5py.regionref_dtype)


def _lists(group, name, outside):
    data = group.create_dataset(name, (2,), dtype=h5py.vlen_dtype(np.dtype("f8")))
    data[0] = np.arange(3.0)


def _bomb(group, name, outside):
    group.create_dataset(name, data=np.zeros(1 << 20), compression="gzip", chunks=(1 << 20,))


def _deep(levels):
    def write(group, name, outside):
        for _ in range(levels):
            group = group.create_group(name)

    return write


def _many(group, name, outside):
    inner = group.create_group(name)
    for index in range(300):
        inner.create_group(str(index))


def _attributes(group, name, outside):
    data = group.create_dataset(name, data=np.ones(4))
    for index in range(20):
        data.attrs[f"a{index}"] = "x" * 3000


def _group_attribute(group, name, outside):
    inner = group.create_group(name)
    inner.attrs["type"] = "NIRGraph"
    inner.attrs["r"] = inner.ref


def _late_cycle(group, name, outside):
    """A group that holds a group that holds its grandparent."""
    inner = group.create_group(name).create_group("x")
    inner["y"] = group


SPARSE = {"dtype": "f8", "chunks": (64, 64), "maxshape": (None, None)}
ODD = {
    "soft link": _link(lambda group, _: h5py.SoftLink("/node/nodes")),
    "soft link to nothing": _link(lambda group, _: h5py.SoftLink("/nowhere")),
    "soft link to itself": lambda group, name, _: group.__setitem__(name, h5py.SoftLink(name.decode())),
    "external link": _link(lambda group, outside: h5py.ExternalLink(outside / "other.h5", "/node")),
    "external link to bytes": _link(lambda group, outside: h5py.ExternalLink(outside / "raw.bin", "/x")),
    "link to its group": _link(lambda group, _: group),
    "link to the root": _link(lambda group, _: group.file["/"]),
    "cycle of two": _late_cycle,
    "named type": _link(lambda group, _: np.dtype("f8")),
    "virtual": _virtual("other.h5", (4,), None),
    "virtual of bytes": _virtual("raw.bin", (4,), None),
    "virtual without end": _unlimited_virtual,
    "external storage": _external,
    "object reference": _references,
    "region reference": _regions,
    "compound": _dataset(data=np.zeros(2, dtype=[("a", "f8"), ("b", "i4")])),
    "opaque": _dataset(data=np.void(b"abc")),
    "lists": _lists,
    "array type": _dataset(shape=(2,), dtype=np.dtype(("f8", (3,)))),
    "enum": _dataset(data=np.array([0, 1, 2]), dtype=h5py.enum_dtype({"a": 0, "b": 1, "c": 2}, "i4")),
    "complex": _dataset(data=np.array([1j])),
    "long double": _dataset(data=np.zeros(2, dtype=np.longdouble)),
    "30 bits": _low_level(_int_of(30)),
    "bit field": _low_level(lambda: h5py.h5t.STD_B8LE),
    "time": _low_level(lambda: h5py.h5t.UNIX_D32LE),
    "small float": _low_level(_small_float),
    "null": _dataset(data=h5py.Empty("f8")),
    "no values": _dataset(data=np.zeros((0, 4))),
    "many axes": _dataset(data=np.zeros((1,) * 20)),
    "huge sparse": _dataset(shape=(10**6, 10**6), **SPARSE),
    "large sparse": _dataset(shape=(1000, 1000), **SPARSE),
    "beyond 64 bits": _dataset(shape=(2**40, 2**40), **SPARSE),
    "huge contiguous": _dataset(shape=(10**12,), dtype="f8"),
    "huge chunk": _dataset(shape=(4,), dtype="f8", chunks=(10**8,), maxshape=(None,)),
    "many chunks": _dataset(shape=(10**5,), dtype="u1", chunks=(1,)),
    "some chunks": _dataset(data=np.ones(1000, "u1"), chunks=(1,)),
    "n-bit filter": _low_level(lambda: h5py.h5t.NATIVE_INT32, (4,), (4,), [(5, ())]),
    "unknown filter": _low_level(lambda: h5py.h5t.NATIVE_INT32, (4,), (4,), [(30000, (1, 2, 3))]),
    "bomb": _bomb,
    "huge fixed string": _dataset(shape=(2,), dtype="S1000000"),
    "long string": _dataset(data="x" * (2 << 20), dtype=h5py.string_dtype()),
    "many strings": _dataset(shape=(200_000,), dtype=h5py.string_dtype()),
    "no strings written": _dataset(shape=(3, 2), dtype=h5py.string_dtype()),
    "bytes that are no text": _dataset(data=b"\xff\xfe\x80"),
    "text in latin-1": _dataset(data=np.array(b"\xe9t\xe9", "S3")),
    "text with an escape": _dataset(data="\x1b[2J\x1b]0;gone\x07\r\nnew line", dtype=h5py.string_dtype()),
    "deep": _deep(40),
    "as deep as allowed": _deep(10),
    "many groups": _many,
    "attributes": _attributes,
    "attribute in place of a field": _group_attribute,
}
NAMES = [
    "x" * 300,
    "\x1b[31mred",
    "two\nlines",
    "\u202ename",
    b"\xff\xfe",
    " ",
    "..",
    "type",
    "nodes",
    "edges",
    "weight",
    "metadata",
    "input",
    "Größe",
]
