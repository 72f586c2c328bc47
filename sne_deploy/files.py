"""Atomic writing: a file is there whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sne_deploy.errors import OutputError


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
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror}; choose a folder that exists and can be written"
        ) from error
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
    except OSError as error:
        raise OutputError(
            f"cannot write output folder {folder}: {error.strerror or error}; choose another with --out"
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
    except OSError as error:
        reason = f"{nearest}: {error.strerror or error}"
        raise OutputError(
            f"cannot write output folder {path}: {reason}; choose another with --out"
        ) from error
