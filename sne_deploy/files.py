"""Reading of regular files alone, bounded; atomic writing: a file is there whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sne_deploy.errors import OutputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def open_regular(path: str | os.PathLike[str], limit: int | None = None) -> BinaryIO:
    """Open a regular file for reading: a pipe would wait for its writer, a device may never end.

    Parameters
    ----------
    path : path
    limit : int or None
        Most bytes that the file may have.

    Raises
    ------
    OSError
        With a ``strerror`` that says what is wrong: missing, no regular file, or larger than the limit.
    """
    try:
        _check_kind(Path(path).stat(), limit)  # to open a device may already do something
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a zero character
        raise OSError(errno.EINVAL, str(error)) from error
    try:
        _check_kind(os.fstat(descriptor), limit)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_kind(found: os.stat_result, limit: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "nothing of this kind")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file")
    if limit is not None and found.st_size > limit:
        raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, more than the limit of {limit}")


_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """Read all bytes of a regular file; see :func:`open_regular`, which says what is raised."""
    with open_regular(path, limit) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:  # it grew, or its size is not what it holds, as in /proc
        raise OSError(errno.EFBIG, f"it has more bytes than the limit of {limit}")
    return data


_MOST_NESTED = 16
_MOST_BITS = 64


def parse_toml(data: bytes) -> dict[str, Any]:
    """Read TOML whose tables are nested no deeper, and whose numbers are no larger, than anything takes.

    Raises
    ------
    ValueError
        In one short line.
    """
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())[:120]) from error
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _MOST_NESTED:
            raise ValueError(f"its values are nested deeper than {_MOST_NESTED}")
        if isinstance(value, (dict, list)):
            waiting += [(one, depth + 1) for one in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise ValueError(f"it has a whole number of more than {_MOST_BITS} bits")
    return document


def available_bytes() -> int | None:
    """Memory that the system could give now, within this process's own limit; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min(found + ([limit] if limit != resource.RLIM_INFINITY else []), default=None)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder; one that is too long to be anything is none."""
    return os.path.isdir(path)  # noqa: PTH112  Path.is_dir raises what the system says of such a name


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder, renamed to ``path`` on success and removed otherwise.

    Raises
    ------
    OutputError
        The folder does not exist or cannot be written.
    """
    target = Path(path)
    try:
        target.exists()  # raises where the file system cannot have such a name
        prefix = f".{os.fsdecode(os.fsencode(target.name)[:100])}."
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=target.parent)
    except (OSError, ValueError) as error:
        raise _unwritable(target, error) from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_file(path: str | os.PathLike[str]) -> None:
    """Prove that :func:`atomic_path` can write a file, and leave nothing behind.

    Raises
    ------
    OutputError
        As there; or it is a folder.
    """
    target = Path(path)
    try:
        if is_folder(target):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(target, error) from error


def _unwritable(target: Path, error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"cannot write {target}: {reason}; choose a folder that exists and can be written, and a name "
        f"that it can hold"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def ensure_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder (and its parents) if it is missing, and prove that it can be written.

    Raises
    ------
    OutputError
        It is a file, or cannot be made or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write output folder {folder}: {reason}; choose another with --out"
        ) from error
    return folder


def check_folder(path: str | os.PathLike[str]) -> None:
    """Prove that a folder can be written, or be made, and leave nothing behind.

    Raises
    ------
    OutputError
        It is a file or below one, or cannot be made or written.
    """
    nearest = Path(path)
    try:
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except (OSError, ValueError) as error:
        reason = f"{nearest}: {getattr(error, 'strerror', None) or error}"
        raise OutputError(
            f"cannot write output folder {path}: {reason}; choose another with --out"
        ) from error
