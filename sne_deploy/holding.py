"""A folder that one command works in: it holds a lock on the folder itself, which leaves nothing there.

The system takes the lock (``flock``) back however the process ends; what it forks lets go of it at once, and
other programs never get it. Where a file system has no locks, nobody is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sne_deploy.errors import OutputError
from sne_deploy.leftovers import is_still
from sne_deploy.text import middle_out

_POLL_S = 0.02
_COMMAND_LENGTH = 100
_locks: set[int] = set()
"""Descriptors of all folders that this process holds."""
_of_thread = threading.local()
"""``held``: device and inode of those that this thread does."""


@contextlib.contextmanager
def hold(folder: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Have a folder to this thread alone in a block, and in blocks within it; made where it is missing.

    Parameters
    ----------
    folder : Path
    patience_s : float
        How long to wait for another one.

    Raises
    ------
    OutputError
        Another one has it.
    OSError
        It cannot be made.
    """
    held: set[tuple[int, int]] = _of_thread.__dict__.setdefault("held", set())
    with contextlib.ExitStack() as stack:
        lock = _opened(folder)
        while lock is not None:
            stack.callback(_let_go, lock)
            found = os.fstat(lock)
            key = found.st_dev, found.st_ino
            if key in held:
                break
            _lock(lock, folder, patience_s)
            if is_still(folder.resolve(), lock):
                held.add(key)
                stack.callback(held.discard, key)
                break
            stack.close()
            lock = _opened(folder)
        yield


def _opened(folder: Path) -> int | None:
    """A descriptor of a folder; None where it can be written, and not read."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another one that failed has removed it
            continue
        except PermissionError:
            return None
        _locks.add(lock)
        return lock


def _lock(lock: int, folder: Path, patience_s: float) -> None:
    end = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise OutputError(
                    f"{folder} is in use by {_holder(lock)}; "
                    "wait until that has ended, or choose another folder"
                ) from None
            time.sleep(_POLL_S)
            continue
        except OSError:  # a file system without locks, or whose locks want a file
            pass
        return


def _holder(lock: int) -> str:
    """Who has a folder, where the kernel says so: a process in another container is not seen."""
    found = os.fstat(lock)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError):  # not Linux, or ended meanwhile
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            _, kind, *_, process, where, _, _ = line.split()
            if (kind, where) == ("FLOCK", place) and int(process) > 0:
                return f"process {process}{_command(int(process))}"
    return "another process"


def _command(process: int) -> str:
    """What a process was called with, in brackets."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return ""
    if len(words) > 1 and Path(words[0]).name.startswith("python") and not words[1].startswith("-"):
        words = [Path(words[1]).name, *words[2:]]
    return f" ({middle_out(shlex.join(words), _COMMAND_LENGTH)})" if words else ""


def _let_go(lock: int) -> None:
    if lock in _locks:  # not in what was forked meanwhile
        _locks.discard(lock)
        os.close(lock)


def _let_go_of_all() -> None:
    """A fork of the holder is not the holder."""
    for lock in list(_locks):
        _let_go(lock)
    _of_thread.__dict__.clear()


os.register_at_fork(after_in_child=_let_go_of_all)
