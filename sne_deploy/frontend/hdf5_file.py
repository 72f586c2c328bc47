"""Untrusted HDF5 files as plain data, read by a child process with a memory and a time limit.

The child may be taken over by a hostile file; what it sends is therefore parsed as data alone, with
every size checked against what arrived.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import stat
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.frontend.hdf5_child import MAGIC

Tree = dict[str, "Tree | npt.NDArray[Any] | str | list[str]"]
"""Groups are dicts; numbers are arrays (0-d where they were scalars); strings are str or flat lists."""

_DTYPES = {np.dtype(code).str: np.dtype(code) for code in "?bBhHiIlLqQefd"}
_MAX_TREE_DEPTH = 64


@dataclass(frozen=True)
class Limits:
    """How much a file may ask for.

    Attributes
    ----------
    total_bytes : int
        Of all data sets together, uncompressed.
    file_bytes : int
        Of the file.
    objects, depth, name_length, ndim : int
        Groups and data sets in the file; nesting; characters of a name; axes of a data set.
    memory_bytes : int
        Address space of the child.
    seconds : int
        Processor time, and (threefold, for a busy machine) wall time.
    """

    total_bytes: int = 512 << 20
    file_bytes: int = 512 << 20
    objects: int = 50_000
    depth: int = 16
    name_length: int = 256
    ndim: int = 8
    memory_bytes: int = 3 << 30
    seconds: int = 30


LIMITS = Limits()


def read_hdf5(path: str | os.PathLike[str], roots: tuple[str, ...], limits: Limits = LIMITS) -> Tree:
    """Read the named objects at the root of a file.

    Parameters
    ----------
    path : path
    roots : tuple of str
        What to read; names that are missing from the file are missing from the result.
    limits : Limits

    Raises
    ------
    GraphError
        The file is missing, empty, damaged or hostile; one line.
    """
    file = Path(path)
    _check_file(file, limits)
    reply, error_text, status = _run_child(file, roots, limits)
    if status != 0 or not reply.startswith(MAGIC):
        raise GraphError(f"{file}: cannot be read: {_cause(status, error_text, limits)}")
    try:
        return _parse(memoryview(reply)[len(MAGIC) :])
    except _ReportedError as error:
        raise GraphError(f"{file}: cannot be read: {_one_line(str(error))}") from None
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise GraphError(f"{file}: cannot be read: its reader sent damaged data") from None


class _ReportedError(Exception):
    """What the child says is wrong with the file."""


def _check_file(file: Path, limits: Limits) -> None:
    try:
        info = file.stat()
        with file.open("rb") if stat.S_ISREG(info.st_mode) else open(os.devnull, "rb"):  # noqa: PTH123
            pass
    except (OSError, ValueError) as error:
        raise GraphError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(info.st_mode):
        raise GraphError(f"{file}: is not a regular file; give an HDF5 file")
    if info.st_size == 0:
        raise GraphError(f"{file}: is empty; give an HDF5 file")
    if info.st_size > limits.file_bytes:
        raise GraphError(f"{file}: has {info.st_size} bytes, the limit is {limits.file_bytes}")


_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""What the reader gets of the environment; anything more could make it do more than read."""


def _run_child(file: Path, roots: tuple[str, ...], limits: Limits) -> tuple[bytes, str, int | None]:
    """Run the reader; status None means that it was stopped for taking too long or sending too much."""
    source = str(Path(__file__).parents[2])
    environment = {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH")))),
        "PYTHONSAFEPATH": "1",
        "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 then loads no filter plug-in
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    options = json.dumps({**asdict(limits), "roots": roots})
    command = [sys.executable, "-m", "sne_deploy.frontend.hdf5_child", str(file.absolute()), options]
    with subprocess.Popen(  # noqa: S603  # our own module, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=source,
    ) as child:
        try:
            replies = _collect(child, 4 * limits.total_bytes, 3.0 * limits.seconds)
            status = child.wait(timeout=5.0) if replies is not None else None
        except subprocess.TimeoutExpired:
            replies, status = None, None
        finally:
            child.kill()
        reply, errors = replies or (b"", b"")
        return reply, errors.decode("utf-8", "replace"), status


def _collect(child: subprocess.Popen[bytes], max_bytes: int, seconds: float) -> tuple[bytes, bytes] | None:
    """Read both pipes to their ends; None where they do not end within a size and a wall time."""
    deadline = time.monotonic() + seconds
    pipes = [(child.stdout, bytearray(), max_bytes), (child.stderr, bytearray(), 1 << 16)]
    with selectors.DefaultSelector() as selector:
        for pipe, buffer, cap in pipes:
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, (buffer, cap))
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                return None
            for key, _ in ready:
                data = os.read(key.fd, 1 << 20)
                if not data:
                    selector.unregister(key.fileobj)
                key.data[0].extend(data)
                if len(key.data[0]) > key.data[1]:
                    return None
    return bytes(pipes[0][1]), bytes(pipes[1][1])


def _cause(status: int | None, error_text: str, limits: Limits) -> str:
    limit = f"its limits are {limits.memory_bytes >> 20} MiB of memory and {limits.seconds} s"
    if status is None:
        return f"its reader was stopped for taking too long or sending too much; {limit}"
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else f"signal {-status}"
        return f"its reader was killed by {name}; {limit}"
    last = error_text.strip().splitlines()[-1:] or ["no message"]
    return f"its reader failed with status {status}: {_one_line(last[0])}"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:500]


def _parse(data: memoryview) -> Tree:
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError("header")
    header = json.loads(bytes(data[8 : 8 + length]))
    if "error" in header:
        raise _ReportedError(str(header["error"]))
    tree, rest = _entry(header, data[8 + length :], 0)
    if len(rest) or not isinstance(tree, dict):
        raise ValueError("surplus data")
    return tree


def _entry(entry: dict[str, Any], rest: memoryview, depth: int) -> tuple[Any, memoryview]:
    if depth > _MAX_TREE_DEPTH:
        raise ValueError("depth")
    if "group" in entry:
        tree: Tree = {}
        for name, child in entry["group"].items():
            tree[str(name)], rest = _entry(child, rest, depth + 1)
        return tree, rest
    shape = tuple(int(n) for n in entry["shape"])
    if "strings" in entry:
        strings = [str(text) for text in entry["strings"]]
        if len(strings) != math.prod(shape):
            raise ValueError("strings")
        return (strings if shape else strings[0]), rest
    dtype = _DTYPES[entry["dtype"]]
    if any(n < 0 for n in shape):
        raise ValueError("shape")
    size = math.prod(shape) * dtype.itemsize
    if size > len(rest):
        raise ValueError("size")
    return np.frombuffer(bytes(rest[:size]), dtype=dtype).reshape(shape).copy(), rest[size:]
