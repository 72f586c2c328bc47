"""The process that opens untrusted HDF5 files: ``python -m sne_deploy.frontend.hdf5_child PATH LIMITS``.

It limits its own memory and time before it touches the file, follows hard links only, checks every size
before it reads, and writes plain data to its standard output: a magic number, the length of a JSON header
as 8 bytes, little endian, the header, then the arrays' bytes one after the other.

Imports nothing of the project.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

MAGIC = b"sne-h5\x00\x01"
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""HDF5's numbers of the filters that are read; others could load code."""


class RefusedError(Exception):
    """The file holds something that is not read."""


@dataclass
class Budget:
    """What may still be read; every field is a limit of :class:`sne_deploy.frontend.hdf5_file.Limits`."""

    total_bytes: int
    objects: int
    depth: int
    name_length: int
    ndim: int
    blobs: list[bytes] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)
    used_bytes: int = 0

    def take(self, where: str, size: int) -> None:
        """Count bytes before they are read."""
        if self.used_bytes + size > self.total_bytes:
            raise RefusedError(f"{where}: its data need more than the limit of {self.total_bytes} bytes")
        self.used_bytes += size

    def visit(self, where: str, item: Any) -> None:
        """Count an object; refuse a second link to it, which could be a cycle."""
        from h5py import h5o

        info = h5o.get_info(item.id)
        key = (int(info.fileno), int(info.addr))
        if key in self.seen:
            raise RefusedError(f"{where}: is linked more than once, and may be a cycle")
        self.seen.add(key)
        if len(self.seen) > self.objects:
            raise RefusedError(f"{where}: there are more than {self.objects} objects in the file")


def read_group(group: Any, where: str, budget: Budget, depth: int) -> dict[str, Any]:
    """Header entry of a group: {"group": {name: entry}}."""
    if depth > budget.depth:
        raise RefusedError(f"{where}: groups are nested deeper than {budget.depth}")
    if len(group) > budget.objects:
        raise RefusedError(f"{where}: there are more than {budget.objects} objects in it")
    return {"group": {name: read_link(group, name, where, budget, depth) for name in list(group)}}


def read_link(group: Any, name: str, where: str, budget: Budget, depth: int) -> dict[str, Any]:
    """Header entry of what a hard link leads to."""
    import h5py

    if len(name) > budget.name_length:
        raise RefusedError(f"{where}: a name of {len(name)} characters, the limit is {budget.name_length}")
    path = f"{where}/{name}"
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RefusedError(f"{path}: is a soft or external link; only hard links are read")
    item = group[name]
    budget.visit(path, item)
    if isinstance(item, h5py.Group):
        return read_group(item, path, budget, depth + 1)
    if isinstance(item, h5py.Dataset):
        return read_dataset(item, path, budget)
    raise RefusedError(f"{path}: is neither a group nor a data set")


def read_dataset(data: Any, where: str, budget: Budget) -> dict[str, Any]:
    """Header entry of a data set: numbers {"dtype", "shape"} with their bytes queued, or {"strings"}."""
    import h5py
    import numpy as np

    check_storage(data, where, budget)
    if isinstance(data.id.get_type(), h5py.h5t.TypeStringID):
        return read_strings(data, where, budget)
    dtype = data.dtype
    if (
        not isinstance(data.id.get_type(), (h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID))
        and dtype != np.bool_
    ):
        raise RefusedError(f"{where}: holds neither numbers nor strings")
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise RefusedError(f"{where}: numbers of type {dtype} are not read")
    array = np.ascontiguousarray(data[()], dtype=dtype.newbyteorder("<")).reshape(data.shape)
    budget.blobs.append(array.tobytes())
    return {"dtype": array.dtype.str, "shape": list(array.shape)}


def check_storage(data: Any, where: str, budget: Budget) -> None:
    """Refuse what would read other files, load code, or need more memory than the budget."""
    import h5py

    plist = data.id.get_create_plist()
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        raise RefusedError(f"{where}: is a virtual data set, which reads other files")
    if plist.get_external_count():
        raise RefusedError(f"{where}: has external storage, which reads other files")
    if data.shape is None:
        raise RefusedError(f"{where}: is empty")
    if len(data.shape) > budget.ndim:
        raise RefusedError(f"{where}: has {len(data.shape)} axes, the limit is {budget.ndim}")
    for index in range(plist.get_nfilters()):
        code = plist.get_filter(index)[0]
        if code not in FILTERS:
            raise RefusedError(f"{where}: uses filter {code}; only {', '.join(FILTERS.values())} are read")
    size = data.id.get_type().get_size()
    if data.chunks is not None and math.prod(data.chunks) * size > budget.total_bytes:
        raise RefusedError(f"{where}: a chunk of it needs more than the limit of {budget.total_bytes} bytes")
    budget.take(where, math.prod(data.shape) * size)


def read_strings(data: Any, where: str, budget: Budget) -> dict[str, Any]:
    """Header entry of strings, in C order."""
    import numpy as np

    array = np.asarray(data[()], dtype=object)
    strings = []
    for value in array.reshape(-1):
        raw = value if isinstance(value, bytes) else str(value).encode()
        budget.take(where, len(raw))
        try:
            strings.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            raise RefusedError(f"{where}: holds a string that is not UTF-8") from None
    return {"strings": strings, "shape": list(data.shape)}


def limit_resources(memory_bytes: int, seconds: int) -> None:
    """Bound this process's memory and processor time; let it write no file and leave no core."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (bound, bound))


def read_file(path: str, roots: list[str], budget: Budget) -> dict[str, Any]:
    """Header of the named objects at the root of a file; missing ones are left out."""
    import h5py

    with h5py.File(path, "r", driver="sec2") as file:
        budget.visit("/", file)
        found = [name for name in roots if file.get(name, getlink=True, default=None) is not None]
        return {"group": {name: read_link(file, name, "", budget, 1) for name in found}}


def main(arguments: list[str]) -> int:
    """Read one file and write what it holds."""
    path, limits = arguments[0], json.loads(arguments[1])
    limit_resources(limits.pop("memory_bytes"), limits.pop("seconds"))
    roots = limits.pop("roots")
    del limits["file_bytes"]
    budget = Budget(**limits)
    try:
        header = read_file(path, roots, budget)
    except RefusedError as error:
        header, budget.blobs = {"error": str(error)}, []
    except MemoryError:
        header, budget.blobs = {"error": "reading it needs more memory than the limit"}, []
    except Exception as error:  # noqa: BLE001  # whatever a hostile file provokes becomes one line
        header, budget.blobs = {"error": f"{type(error).__name__}: {error}"}, []
    text = json.dumps(header).encode()
    stream = sys.stdout.buffer
    stream.write(MAGIC + len(text).to_bytes(8, "little") + text)
    for blob in budget.blobs:
        stream.write(blob)
    stream.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
