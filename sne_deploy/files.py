"""Reading of regular files alone, bounded; atomic writing: a file is there whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from sne_deploy.errors import OutputError
from sne_deploy.holding import hold
from sne_deploy.leftovers import hidden_folder
from sne_deploy.stopping import at_stop


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


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder; one that is too long to be anything is none."""
    return os.path.isdir(path)  # noqa: PTH112  Path.is_dir raises what the system says of such a name


_REMEDY = "choose a folder that exists and can be written, and a name that it can hold"
_REMEDY_FOLDER = "choose another with --out"
_PATIENCE_S = 10.0
"""How long files that are written wait for their folder."""
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.EFBIG: "raise the limit (ulimit -f), or choose another place",
}


def write_whole(path: str | os.PathLike[str], data: bytes | memoryview) -> Path:
    """Write a file whole, or not at all; see :func:`atomic_path`. The file."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def append_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Add to the end of a file that others watch grow: all of it, or nothing where that fails.

    Raises
    ------
    OutputError
        The file cannot be written, or the disk is full.
    """
    with _refusing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size, rest = os.fstat(descriptor).st_size, memoryview(data)
            try:
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, on the same disk; what is there in the end is flushed, and gets its name.

    Whatever happens until then, what was there before stays, and nothing else is left: after a SIGKILL, once
    the next file is written to the folder. For what is too large to be held in memory: what is at hand is
    written by :func:`write_whole`, and what a library writes that does not survive a full disk is made in
    memory before.

    Raises
    ------
    OutputError
        The folder does not exist or cannot be written, or the disk is full.
    """
    target = Path(path)
    with _refusing(target):
        _check_name(target)
        with hidden_folder(target.parent) as folder:
            temporary = folder / target.name
            yield temporary
            _flush(temporary)
            temporary.replace(target)


def _nothing(_: Path) -> Iterable[str]:
    return ()


@contextlib.contextmanager
def staged_folder(
    path: str | os.PathLike[str],
    last: Sequence[str] = (),
    replaced: Callable[[Path], Iterable[str]] = _nothing,
) -> Iterator[Path]:
    """Give an empty folder to write files into, which all get into ``path`` when the last is written.

    They are written by :func:`write_whole` or :func:`atomic_path`, which flush them: a disk that is too small
    for one of them is found before any has its place. The folder is made where it is missing, and removed
    again where nothing gets into it. Files with names in ``last`` get there in this order after all others,
    so that whoever sees the last one sees the others. They are not mixed with those of another writer:
    what ``replaced`` says of the folder, paths of files in it that an earlier writer left, goes where no file
    takes its place. It is asked once all are written; what is no regular file stays.

    Raises
    ------
    OutputError
        As :func:`atomic_path`; of a file in it, too. Or another one has the folder, and keeps it.
    """
    target = Path(path)
    with _refusing(f"output folder {target}", _REMEDY_FOLDER), _made(target), hidden_folder(target) as stage:
        try:
            yield stage
        except OutputError as error:  # of one of its files
            raise OutputError(str(error).replace(str(stage), str(target))) from error
        files = sorted(found.relative_to(stage) for found in stage.rglob("*") if found.is_file())
        files.sort(key=lambda name: last.index(str(name)) if str(name) in last else -1)
        with hold(target, _PATIENCE_S):
            left = {Path(name) for name in replaced(target)}
            for name in files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
            for name in sorted(left - set(files)):
                _remove_regular(target / name)
            for name in files:
                (stage / name).replace(target / name)


def _remove_regular(path: Path) -> None:
    """Remove a file where it is one; a path that is too long to be anything is none."""
    if os.path.isfile(path) and not os.path.islink(path):  # noqa: PTH113, PTH114  as is_folder
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def held_folder(path: str | os.PathLike[str]) -> Iterator[None]:
    """Have a folder to this thread alone in a block: what a command writes to, and keeps its work in.

    The folder is made where it is missing, and removed again where nothing got into it before a failure.

    Raises
    ------
    OutputError
        Another one has the folder; or it cannot be made.
    """
    folder = Path(path)
    with contextlib.ExitStack() as stack:
        with _refusing(f"output folder {folder}", _REMEDY_FOLDER):
            stack.enter_context(_made(folder))
            stack.enter_context(hold(folder))
        yield


@contextlib.contextmanager
def _refusing(target: object, remedy: str = _REMEDY) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"cannot write {target}: {reason}; {_REMEDIES.get(error.errno or 0, remedy)}"
        ) from error


def _check_name(target: Path) -> None:
    """Refuse what the file system cannot have as a name, before anything is made."""
    try:
        target.lstat()
    except FileNotFoundError:
        pass
    except ValueError as error:  # a zero character
        raise OSError(errno.EINVAL, str(error)) from error


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder, and those above it; remove them again where they are empty after a failure."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    _being_made.append(missing)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:
            remove_empty(each)
        raise
    finally:
        _being_made.remove(missing)


def remove_empty(folder: Path) -> None:
    """Remove a folder where nothing is in it, and no other writer has it."""
    if is_folder(folder):
        with contextlib.suppress(OSError, OutputError), hold(folder):
            folder.rmdir()


def _remove_made() -> None:
    """Remove the folders of a command that is stopped, as after a failure."""
    for missing in _being_made:
        with contextlib.suppress(OSError):
            for each in missing:
                each.rmdir()


_being_made: list[list[Path]] = []
at_stop(_remove_made, last=True)  # after the hidden folders in them


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give an empty folder among the system's temporary files, for the length of a block.

    Raises
    ------
    OutputError
        None can be made.
    """
    with contextlib.ExitStack() as stack:
        with _refusing("temporary files", "set TMPDIR to a folder that can be written"):
            folder = stack.enter_context(hidden_folder(tempfile.gettempdir()))
        yield folder


def check_file(path: str | os.PathLike[str]) -> None:
    """Prove that :func:`atomic_path` can write a file, and leave nothing behind.

    Raises
    ------
    OutputError
        As there; or it is a folder.
    """
    target = Path(path)
    with _refusing(target):
        if is_folder(target):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        _check_name(target)
        with hidden_folder(target.parent):
            pass


def ensure_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder (and its parents) if it is missing, and prove that it can be written.

    Raises
    ------
    OutputError
        It is a file, or cannot be made or written.
    """
    folder = Path(path)
    with _refusing(f"output folder {folder}", _REMEDY_FOLDER):
        _check_name(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with hidden_folder(folder):
            pass
    return folder


def check_folder(path: str | os.PathLike[str]) -> None:
    """Prove that a folder can be written, or be made, and leave nothing behind.

    Raises
    ------
    OutputError
        It is a file or below one, or cannot be made or written.
    """
    nearest = Path(path)
    with _refusing(f"output folder {path}", _REMEDY_FOLDER):
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        with hidden_folder(nearest):
            pass
