"""Untrusted HDF5 files as plain data, read by a child process with a memory and a time limit.

The child may be taken over by a hostile file; what it sends is therefore taken as data alone, with every
size checked before memory is taken for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.files import open_regular
from sne_deploy.frontend.hdf5 import child as hdf5_child
from sne_deploy.frontend.hdf5.reply import (
    DamagedError,
    EndError,
    LateError,
    Pipe,
    RefusedError,
    Tree,
    read_reply,
)

__all__ = [
    "LIMITS",
    "Limits",
    "Tree",
    "child_environment",
    "child_options",
    "naming",
    "one_line",
    "read_hdf5",
]

_MESSAGE_LENGTH = 1000
_MOST_PROBLEMS = 50


@dataclass(frozen=True)
class Limits:
    """How much a file may ask for.

    Attributes
    ----------
    total_bytes : int
        Of all numbers together, uncompressed.
    text_bytes : int
        Of all names and strings together, each with 8 more.
    file_bytes : int
        Of the file.
    objects, chunks : int
        Groups and data sets in the file; chunks of all its data sets.
    depth, name_length, ndim : int
        Nesting; characters of a name; axes of a data set.
    memory_bytes : int
        Address space of the child.
    seconds : int
        Processor time, and (threefold, for a busy machine) wall time.
    """

    total_bytes: int = 512 << 20
    text_bytes: int = 8 << 20
    file_bytes: int = 512 << 20
    objects: int = 50_000
    chunks: int = 100_000
    depth: int = 16
    name_length: int = 256
    ndim: int = 8
    memory_bytes: int = 3 << 29
    seconds: int = 15


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
    try:
        file = Path(path)
        _check_file(file, limits)
        with _start_child(file, roots, limits) as child:
            return _receive(child, limits)
    except _UnreadableError as error:
        raise GraphError(one_line(f"{os.fspath(path)}: {error}")) from None


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors about what a file holds begin with its name, in one line, and list 50 problems at most."""
    try:
        yield
    except UnsupportedError as error:
        problems = [one_line(problem) for problem in error.problems[:_MOST_PROBLEMS]]
        if len(error.problems) > _MOST_PROBLEMS:
            problems.append(f"and {len(error.problems) - _MOST_PROBLEMS} more")
        raise UnsupportedError(one_line(os.fspath(path)), problems) from None
    except GraphError as error:
        raise GraphError(one_line(f"{os.fspath(path)}: {error}")) from None


def one_line(text: str) -> str:
    """Text from an untrusted source as one line of bounded length that no terminal obeys."""
    line = " ".join(_middle_out(text, 4 * _MESSAGE_LENGTH).split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return _middle_out(shown, _MESSAGE_LENGTH)


def _middle_out(text: str, length: int) -> str:
    half = (length - 5) // 2
    return text if len(text) <= length else f"{text[:half]} ... {text[-half:]}"


class _UnreadableError(Exception):
    """What is wrong with the file; the text may hold parts of it."""


def _check_file(file: Path, limits: Limits) -> None:
    try:
        with open_regular(file, limits.file_bytes) as stream:
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {error.strerror}; give an HDF5 file") from None
    if size == 0:
        raise _UnreadableError("is empty; give an HDF5 file")


_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""What the reader gets of the environment; anything more could make it do more than read."""


def child_environment() -> dict[str, str]:
    """The environment of a reader."""
    return {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 then loads no filter plug-in
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def child_options(roots: tuple[str, ...], limits: Limits) -> str:
    """The second argument of a reader."""
    found = [find_spec(name) for name in ("numpy", "h5py")]
    folders = {str(Path(spec.origin).parents[1]) for spec in found if spec is not None and spec.origin}
    return json.dumps({**asdict(limits), "roots": roots, "import_path": sorted(folders)})


_PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from child import main
del sys.path[-1]
sys.exit(main(sys.argv[2:]))
"""
"""Imports the child as a module, whose compiled form is kept, from a folder that hides no other module."""


def _start_child(file: Path, roots: tuple[str, ...], limits: Limits) -> _Child:
    # Without site, nothing of the user's or the environment's is run on the way to HDF5.
    program = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(hdf5_child.__file__).parent)]
    return _Child([*program, str(file.absolute()), child_options(roots, limits)])


class _Child:
    """A running reader, killed when its context ends."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own module, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(),
            pipesize=1 << 20,
        )
        pipes = self._process.stdout, self._process.stderr
        self.stdout, self.stderr = (pipe for pipe in pipes if pipe is not None)

    def wait(self, seconds: float) -> int | None:
        """Exit status, negative for a signal; None where it does not end in time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> _Child:
        """Nothing more than starting it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process and no pipe behind."""
        self._process.kill()
        self._process.__exit__(None, None, None)


def _receive(child: _Child, limits: Limits) -> Tree:
    deadline = time.monotonic() + 3.0 * limits.seconds
    try:
        return read_reply(Pipe(child.stdout, deadline), limits)
    except RefusedError as error:
        cause = str(error)
    except LateError:
        cause = _cause(child, None, deadline, limits)
    except EndError:
        cause = _cause(child, child.wait(max(0.0, deadline - time.monotonic())), deadline, limits)
    except DamagedError:
        cause = "its reader sent damaged data"
    except MemoryError:
        cause = "there is not enough memory for what it holds"
    raise _UnreadableError(f"cannot be read: {cause}")


def _cause(child: _Child, status: int | None, deadline: float, limits: Limits) -> str:
    limit = f"its limits are {limits.memory_bytes >> 20} MiB of memory and {limits.seconds} s"
    if status is None:
        return f"its reader was stopped for taking too long; {limit}"
    if status == -signal.SIGXCPU:
        return f"its reader was stopped after {limits.seconds} s of processor time, the limit"
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else f"signal {-status}"
        return f"its reader was killed by {name}; {limit}"
    errors = bytearray(1 << 16)
    count = Pipe(child.stderr, deadline + 1.0).read_some(memoryview(errors))
    last = errors[:count].decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
    return f"its reader failed with status {status}: {last[0]}"
