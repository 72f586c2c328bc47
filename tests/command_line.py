"""The commands as a shell starts them, in this process."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from sne_deploy import cli


@dataclass(frozen=True)
class Outcome:
    """What a shell sees of a command."""

    status: int
    stdout: str
    stderr: str


def command(*arguments: Any, name: str = "sne-compile") -> Outcome:
    """Run ``sne-compile`` or ``sne`` through its entry point."""
    entry = {"sne-compile": cli.compile_main, "sne": cli.main}[name]
    argv = [name, *(str(argument) for argument in arguments)]
    with mock.patch.object(sys, "argv", argv), captured() as (stdout, stderr):
        status = entry()
    return Outcome(status, stdout.getvalue(), stderr.getvalue())


@contextlib.contextmanager
def captured() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Catch what is printed."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        yield stdout, stderr


def on_a_terminal(script: str, columns: int = 80) -> str:
    """Run a script whose stderr is a terminal; give what it wrote there, and see that stdout stayed empty."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    try:
        with subprocess.Popen(
            [sys.executable, "-c", script], stderr=theirs, stdout=subprocess.PIPE, env=environment
        ) as process:
            os.close(theirs)
            written = b""
            while chunk := _read(ours):
                written += chunk
            stdout, _ = process.communicate()
    finally:
        os.close(ours)
    assert (process.returncode, stdout) == (0, b""), (stdout, written)
    return written.decode()


def _read(terminal: int) -> bytes:
    """What is there; nothing when the other end is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file may grow beyond a size, as on a disk that is full then; Python ignores the signal of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
