"""Untrusted HDF5 files as plain data, read by a child process with a memory and a time limit.

The child may be taken over by a hostile file; what it sends is therefore taken as data alone, with every
size checked before memory is taken for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.files import open_regular
from sne_deploy.frontend.hdf5 import child as hdf5_child
from sne_deploy.sandbox.process import Child, FailedError, ask, child_command, child_environment
from sne_deploy.sandbox.reply import Tree
from sne_deploy.text import one_line

__all__ = [
    "LIMITS",
    "Limits",
    "Tree",
    "child_options",
    "naming",
    "read_hdf5",
    "reader_environment",
]

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
        Processor time, and (threefold, for a busy machine) wall time; and one more for every 32 MiB of the
        file.
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
    seconds: int = 6


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
        size = _check_file(file, limits)
        limits = replace(limits, seconds=limits.seconds + (size >> 25))
        with _start_child(file, roots, limits) as child:
            return ask(child, (), limits)
    except FailedError as error:
        raise GraphError(one_line(f"{os.fspath(path)}: cannot be read: {error}")) from None
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


class _UnreadableError(Exception):
    """What is wrong with the file; the text may hold parts of it."""


def _check_file(file: Path, limits: Limits) -> int:
    try:
        with open_regular(file, limits.file_bytes) as stream:
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {error.strerror}; give an HDF5 file") from None
    if size == 0:
        raise _UnreadableError("is empty; give an HDF5 file")
    return size


_ENVIRONMENT = {
    "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 then loads no filter plug-in
    "HDF5_USE_FILE_LOCKING": "FALSE",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


def reader_environment() -> dict[str, str]:
    """The environment of a reader."""
    return child_environment(_ENVIRONMENT)


def child_options(roots: tuple[str, ...], limits: Limits) -> str:
    """The second argument of a reader."""
    found = [find_spec(name) for name in ("numpy", "h5py")]
    folders = {str(Path(spec.origin).parents[1]) for spec in found if spec is not None and spec.origin}
    return json.dumps({**asdict(limits), "roots": roots, "import_path": sorted(folders)})


def _start_child(file: Path, roots: tuple[str, ...], limits: Limits) -> Child:
    arguments = [str(file.absolute()), child_options(roots, limits)]
    return Child(child_command(hdf5_child.__name__, arguments), reader_environment())
