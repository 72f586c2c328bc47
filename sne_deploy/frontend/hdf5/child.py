"""The process that opens untrusted HDF5 files: ``main([PATH, OPTIONS])``.

It limits its own memory, time and open files before it touches the file, follows hard links only, checks
every size before it reads, and answers on its standard output as :mod:`sne_deploy.sandbox.limits` says.

Imports nothing of the project but that. OPTIONS is JSON: the limits, ``roots`` (names at the root of the
file) and ``import_path`` (folders in which NumPy and h5py are found, as the interpreter starts without
``site``).
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from sne_deploy.sandbox.limits import (
    ARRAY,
    ERROR,
    MAGIC,
    TREE,
    limit_memory,
    limit_time,
    printable,
    send,
    set_limit,
    tree_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, ...]
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""HDF5's numbers of the filters that are read; others could load code."""


class RefusedError(Exception):
    """The file holds something that is not read."""


@dataclass
class Budget:
    """What may still be read; every limit is one of :class:`sne_deploy.frontend.hdf5.file.Limits`."""

    total_bytes: int
    text_bytes: int
    objects: int
    chunks: int
    depth: int
    name_length: int
    ndim: int
    send: Callable[[Any], None]
    seen: set[tuple[int, int]] = field(default_factory=set)
    used_bytes: int = 0
    used_text: int = 0
    used_chunks: int = 0

    def take(self, where: str, size: int) -> None:
        """Count bytes before memory is taken for them."""
        self.used_bytes += size
        if self.used_bytes > self.total_bytes:
            raise RefusedError(f"{where}: its data need more than the limit of {self.total_bytes} bytes")

    def take_text(self, where: str, size: int) -> None:
        """Count a name's or a string's bytes, and what surrounds it in the tree."""
        self.used_text += size + 8
        if self.used_text > self.text_bytes:
            raise RefusedError(
                f"{where}: names and strings need more than the limit of {self.text_bytes} bytes"
            )

    def take_chunks(self, where: str, count: int) -> None:
        """Count chunks, each of which costs time and memory however little it holds."""
        self.used_chunks += count
        if self.used_chunks > self.chunks:
            raise RefusedError(f"{where}: there are more than {self.chunks} chunks of data in the file")

    def visit(self, where: str, item: Any) -> None:
        """Count an object; refuse a second link to it, which could be a cycle."""
        from h5py import h5o

        info = h5o.get_info(item)
        key = (int(info.fileno), int(info.addr))
        if key in self.seen:
            raise RefusedError(f"{where}: is linked more than once, and may be a cycle")
        self.seen.add(key)
        if len(self.seen) > self.objects:
            raise RefusedError(f"{where}: there are more than {self.objects} objects in the file")


def read_group(group: Any, where: str, budget: Budget, depth: int) -> dict[str, Any]:
    """Tree of a group: {"group": {name: tree}}."""
    if depth > budget.depth:
        raise RefusedError(f"{where}: groups are nested deeper than {budget.depth}")
    links: list[tuple[bytes, int]] = []

    def note(name: bytes, info: Any) -> bool:
        links.append((bytes(name), int(info.type)))
        return len(links) > budget.objects

    group.links.iterate(note, info=True)
    if len(links) > budget.objects:
        raise RefusedError(f"{where}: there are more than {budget.objects} objects in it")
    tree: dict[str, Any] = {}
    for raw, kind in links:
        name = checked_name(raw, where, budget)
        tree[name] = read_link(group, raw, kind, f"{where}/{name}", budget, depth)
    if len(tree) != len(links):
        raise RefusedError(f"{where}: two links have the same name")
    return {"group": tree}


def checked_name(raw: bytes, where: str, budget: Budget) -> str:
    """Name of a link; refuse what HDF5 would take for a path, or what a terminal would obey."""
    if len(raw) > 4 * budget.name_length:
        raise RefusedError(f"{where}: a name of {len(raw)} bytes, the limit is {budget.name_length}")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError(f"{where}: the name {raw[:100]!r} is not UTF-8") from None
    if len(name) > budget.name_length:
        raise RefusedError(f"{where}: a name of {len(name)} characters, the limit is {budget.name_length}")
    if not name.isprintable():
        raise RefusedError(f"{where}: the name {name!r} has control characters")
    if not name or "/" in name or name == ".":
        raise RefusedError(f"{where}: {name!r} is no name of a link")
    budget.take_text(where, len(raw))
    return name


def read_link(group: Any, name: bytes, kind: int, where: str, budget: Budget, depth: int) -> dict[str, Any]:
    """Tree of what a hard link leads to."""
    from h5py import h5d, h5g, h5l, h5o

    if kind != h5l.TYPE_HARD:
        what = {h5l.TYPE_SOFT: "a soft", h5l.TYPE_EXTERNAL: "an external"}.get(kind, "a user-defined")
        raise RefusedError(f"{where}: is {what} link; only hard links are read")
    item = h5o.open(group, name)
    budget.visit(where, item)
    if isinstance(item, h5g.GroupID):
        return read_group(item, where, budget, depth + 1)
    if isinstance(item, h5d.DatasetID):
        return read_dataset(item, where, budget)
    raise RefusedError(f"{where}: is neither a group nor a data set")


def read_dataset(data: Any, where: str, budget: Budget) -> dict[str, Any]:
    """Tree of a data set: numbers {"dtype", "shape"}, with their bytes sent, or {"strings", "shape"}."""
    import numpy as np
    from h5py import h5s, h5t

    shape = checked_shape(data, where, budget)
    stored = data.get_type()
    if isinstance(stored, h5t.TypeStringID):
        return read_strings(data, stored, shape, where, budget)
    number = isinstance(stored, (h5t.TypeIntegerID, h5t.TypeFloatID))
    if not number and not (isinstance(stored, h5t.TypeEnumID) and stored.dtype == np.bool_):
        raise RefusedError(f"{where}: holds neither numbers nor strings")
    dtype = np.dtype(stored.dtype).newbyteorder("<")
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise RefusedError(f"{where}: numbers of type {dtype} are not read")
    budget.take(where, math.prod(shape) * max(dtype.itemsize, stored.get_size()))
    array = np.empty(shape, dtype)
    if array.size:
        data.read(h5s.ALL, h5s.ALL, array)
    content = array.reshape(-1).view(np.uint8)
    budget.send((content != 0 if dtype.kind == "b" else content).data)
    return {"dtype": dtype.str, "shape": shape}


def checked_shape(data: Any, where: str, budget: Budget) -> Shape:
    """Shape of a data set; refuse what would read other files, load code, or ask for absurdly much."""
    from h5py import h5d, h5s

    plist = data.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL:
        raise RefusedError(f"{where}: is a virtual data set, which reads other files")
    if plist.get_external_count():
        raise RefusedError(f"{where}: has external storage, which reads other files")
    for index in range(plist.get_nfilters()):
        code = plist.get_filter(index)[0]
        if code not in FILTERS:
            raise RefusedError(f"{where}: uses filter {code}; only {', '.join(FILTERS.values())} are read")
    space = data.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        raise RefusedError(f"{where}: is empty")
    shape = tuple(int(n) for n in space.get_simple_extent_dims())
    if len(shape) > budget.ndim:
        raise RefusedError(f"{where}: has {len(shape)} axes, the limit is {budget.ndim}")
    if math.prod(shape) * data.get_type().get_size() > budget.total_bytes:
        raise RefusedError(f"{where}: its data need more than the limit of {budget.total_bytes} bytes")
    if plist.get_layout() == h5d.CHUNKED:
        chunk = plist.get_chunk()
        if math.prod(chunk) * data.get_type().get_size() > budget.total_bytes:
            raise RefusedError(
                f"{where}: a chunk of it needs more than the limit of {budget.total_bytes} bytes"
            )
        budget.take_chunks(where, math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True)))
    return shape


def read_strings(
    data: Any, stored: Any, shape: tuple[int, ...], where: str, budget: Budget
) -> dict[str, Any]:
    """Tree of strings, in C order."""
    import numpy as np
    from h5py import h5s

    count = math.prod(shape)
    budget.take_text(where, count * (8 if stored.is_variable_str() else 8 + stored.get_size()))
    array = np.empty(shape, stored.dtype)
    if array.size:
        data.read(h5s.ALL, h5s.ALL, array)
    strings = []
    for value in array.reshape(-1).tolist():
        raw = value if isinstance(value, bytes) else b""  # HDF5's null pointer becomes an int
        budget.take_text(where, len(raw))
        try:
            strings.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            raise RefusedError(f"{where}: holds a string that is not UTF-8") from None
    return {"strings": strings, "shape": shape}


def limit_resources(memory_bytes: int, seconds: int) -> None:
    """Bound memory and processor time; let one more file be opened, none be written, no process started."""
    free = os.dup(0)  # the number of the next file
    os.close(free)
    limit_memory(memory_bytes)
    for kind, bound in ((resource.RLIMIT_NPROC, 0), (resource.RLIMIT_NOFILE, free + 1)):
        set_limit(kind, bound, bound)
    limit_time(seconds)


def read_file(path: str, roots: list[str], budget: Budget) -> dict[str, Any]:
    """Tree of the named objects at the root of a file; missing ones are left out."""
    from h5py import h5f, h5g, h5p

    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_sec2()
    root = h5g.open(h5f.open(os.fsencode(path), h5f.ACC_RDONLY, fapl=access), b"/")
    budget.visit("/", root)
    tree = {}
    for name in roots:
        raw = name.encode()
        if root.links.exists(raw):
            tree[name] = read_link(root, raw, int(root.links.get_info(raw).type), f"/{name}", budget, 1)
    return {"group": tree}


def reply(path: str, options: dict[str, Any], stream: BinaryIO) -> None:
    """Read one file and write all frames."""
    roots = options.pop("roots")
    budget = Budget(**options, send=lambda data: send(stream, ARRAY, data))
    longest = tree_bytes(budget.text_bytes, budget.objects)
    stream.write(MAGIC)
    try:
        text = json.dumps(read_file(path, roots, budget), ensure_ascii=False).encode()
        if len(text) > longest:
            raise RefusedError(f"names and strings need more than {longest} bytes once they are escaped")
        send(stream, TREE, text)
    except BrokenPipeError:
        raise
    except RefusedError as error:
        send(stream, ERROR, printable(str(error)))
    except MemoryError:
        send(stream, ERROR, b"reading it needs more memory than the limit")
    except Exception as error:  # noqa: BLE001  # whatever a hostile file provokes becomes one line
        send(stream, ERROR, printable(f"{type(error).__name__}: {error}"))


def main(arguments: list[str]) -> int:
    """Read one file and write what it holds."""
    path, options = arguments[0], json.loads(arguments[1])
    sys.path += options.pop("import_path")
    # Once limits are set, no module's file can be opened any more.
    import encodings.ascii  # noqa: F401

    import h5py  # noqa: F401

    limit_resources(options.pop("memory_bytes"), options.pop("seconds"))
    del options["file_bytes"]
    reply(path, options, sys.stdout.buffer)
    sys.stdout.flush()
    return 0
