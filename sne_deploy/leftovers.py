"""Hidden folders for what is not finished: locked while their writer lives, swept by the next when it died.

A folder is called ``.sne-MACHINE-RANDOM.tmp``. Its writer holds a lock on it (``flock``), which the system
takes back however the process ends. Who makes a folder sweeps those beside it whose lock is free. Locks of
another machine are not seen on every shared file system, and some have none: a folder with another machine's
mark, or that cannot be locked, is swept when nothing in it has changed for an hour, by the file system's own
clock.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from sne_deploy.stopping import at_stop

QUIET_S = 3600.0
"""After so long without a change, a folder whose lock says nothing is taken for left over."""
_NAME = re.compile(r"\.sne-([0-9a-f]{8})-[0-9a-f]{8}\.tmp")
_live: dict[Path, int] = {}
"""Folders that may be there, with the process that made each: a forked one leaves its parent's alone."""
_of_children: list[Path] = []


@contextlib.contextmanager
def hidden_folder(parent: str | os.PathLike[str]) -> Iterator[Path]:
    """Make an empty folder in ``parent``, removed with all that is in it at the end; sweep before.

    Raises
    ------
    OSError, ValueError
        It cannot be made.
    """
    folder = Path(parent)
    path, lock = folder / f".sne-{_machine()}-{secrets.token_hex(4)}.tmp", None
    _live[path] = os.getpid()  # before it is there: a signal may come at any moment
    try:
        lock = make_locked(path)
        _sweep(folder, os.fstat(lock).st_mtime)
        yield path
    finally:
        _remove(path)
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def children_write(folder: Path) -> Iterator[None]:
    """Let child processes write to a folder in this block: those that are killed leave nothing there."""
    _of_children.append(folder)
    try:
        yield
    finally:
        _sweep(folder)
        _of_children.remove(folder)


def remove_live() -> None:
    """Remove every hidden folder of this process, and of its dead children: for one that is about to end."""
    for path, process in list(_live.items()):
        if process == os.getpid():
            _remove(path)
    for folder in _of_children:
        _sweep(folder)


atexit.register(remove_live)
at_stop(remove_live, last=True)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _live.pop(path, None)


def make_locked(path: Path) -> int:
    """Make a folder and lock it, for as long as this process, or one that it forks, lives; the descriptor."""
    while True:
        path.mkdir(mode=0o700)
        lock = _locked(path)
        if lock is not None:
            return lock


def take_over(path: Path) -> int | None:
    """Lock a folder of ours whose maker, and all that it forked, are gone; None where that cannot be told."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # removed meanwhile, or another user's
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_uid == os.geteuid() and is_still(path, lock):
            return lock
    except OSError:  # one of them lives, or the file system has no locks
        pass
    os.close(lock)
    return None


def _locked(path: Path) -> int | None:
    """Lock a folder that was just made; None where a sweeper was faster, and took it."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if is_still(path, lock):
            return lock
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def is_still(path: Path, lock: int) -> bool:
    """Whether a folder that was opened is the one that has the name: a sweeper may have been faster."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _sweep(folder: Path, now: float = 0.0) -> None:
    """Remove what was left over; without a time, of this machine alone."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  as a folder may have very many
    except OSError:  # one that can be written, but not listed
        return
    for name in names:
        if (found := _NAME.fullmatch(name)) is None:
            continue
        path = folder / name
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # swept meanwhile, or another user's
            continue
        try:
            if _abandoned(path, lock, found[1], now) and is_still(path, lock):  # not made anew meanwhile
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _abandoned(path: Path, lock: int, machine: str, now: float) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if machine == _machine():
            return True
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    changed = [os.fstat(lock).st_mtime]
    for inner, folders, files in os.walk(path):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):  # it has its place meanwhile
                changed.append(os.lstat(os.path.join(inner, name)).st_mtime)  # noqa: PTH118
    return now - max(changed) > QUIET_S


@functools.cache
def _machine() -> str:
    """A mark of the running system, the same in all its containers: those whose locks are seen here."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    except OSError:  # not Linux
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]
