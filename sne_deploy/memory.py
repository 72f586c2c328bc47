"""How much memory there is, before it is taken: the machine's, the container's, the process's own limit.

Linux says all three; another system what it has of them. What it does not say is not known, and nothing is
refused for it.
"""

from __future__ import annotations

import mmap
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_LIMITS = {2: ("memory.max", "memory.high"), 1: ("memory.limit_in_bytes",)}
_USED = {2: "memory.current", 1: "memory.usage_in_bytes"}
_CACHE = {2: "inactive_file", 1: "total_inactive_file"}
"""What is used for files that the kernel gives up where memory is short."""


def available_bytes() -> int | None:
    """Memory that this process could still take; None where nothing says."""
    return min((max(0, found) for found in _bounds()), default=None)


def _bounds() -> Iterator[int]:
    machine = _lines(_PROC / "meminfo", ":").get("MemAvailable")
    if machine is not None:
        yield 1024 * machine
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield limit - 1024 * _lines(_PROC / "self" / "status", ":").get("VmSize", 0)
    yield from _containers()


def _containers() -> Iterator[int]:
    """What every control group that this process is in leaves, and those that it is in."""
    for line in _text(_PROC / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            version, root = 2, _CGROUP
        elif "memory" in controllers.split(","):
            version, root = 1, _CGROUP / "memory"
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))
        if ".." not in inner.parts:
            for folder in (inner, *inner.parents):
                yield from _left(version, root / folder)


def _left(version: int, folder: Path) -> Iterator[int]:
    limits = [_text(folder / name).strip() for name in _LIMITS[version]]
    found = [int(limit) for limit in limits if limit.isdigit() and int(limit) < 2**60]  # v1 says none by 2^63
    used = _text(folder / _USED[version]).strip()
    if found and used.isdigit():
        yield min(found) - int(used) + _lines(folder / "memory.stat", " ").get(_CACHE[version], 0)


def _lines(path: Path, separator: str) -> dict[str, int]:
    """Numbers by name, one in a line."""
    pairs = (line.partition(separator) for line in _text(path).splitlines())
    words = ((name, rest.split()) for name, _, rest in pairs)
    return {name: int(rest[0]) for name, rest in words if rest and rest[0].isdigit()}


def _text(path: Path) -> str:
    """What the system says there; empty where it does not."""
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def in_words(size: float) -> str:
    """A number of bytes, to two or three digits."""
    unit, name = next(
        ((2**e, n) for e, n in ((30, "GiB"), (20, "MiB"), (10, "KiB")) if size >= 2**e), (1, "B")
    )
    return f"{size / unit:.3g} {name}" if size / unit < 100 else f"{size / unit:.0f} {name}"


def mapped(array: Array) -> mmap.mmap | None:
    """The file that an array is a view of, mapped to be read alone; None where anyone can write into it."""
    below: Any = array
    of_file = False
    while isinstance(below, np.ndarray):
        if below.flags.writeable:
            return None
        of_file = of_file or isinstance(below, np.memmap)
        below = below.base
    return below if of_file and isinstance(below, mmap.mmap) else None


def let_go(array: Array) -> None:
    """Give back the memory of a mapped file's pages, which are read again when they are needed."""
    found = mapped(array)
    if found is not None and hasattr(mmap, "MADV_DONTNEED"):
        found.madvise(mmap.MADV_DONTNEED)
