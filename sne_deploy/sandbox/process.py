"""A child process that works on an untrusted file: started with little, asked by pipes, killed at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sne_deploy.errors import SneError
from sne_deploy.sandbox.reply import DamagedError, EndError, LateError, Limits, Pipe, RefusedError, read_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from sne_deploy.sandbox.reply import Tree

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""What a child gets of the environment; anything more could make it do more than read."""
_PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from {module} import main
del sys.path[-1]
sys.exit(main(sys.argv[2:]))
"""
"""Imports the child from a folder that hides no other module."""


class FailedError(SneError):
    """The child refused the file, or died of it: why, in text that may hold parts of the file."""


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, **extra}


def child_command(module: str, arguments: Sequence[str]) -> list[str]:
    """Start ``main(arguments)`` of a module of the project; without site, nothing of the user's is run."""
    folder = str(Path(__file__).parents[2])
    return [sys.executable, "-I", "-S", "-c", _PROGRAM.format(module=module), folder, *arguments]


class Child:
    """A running child, killed when its context ends."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own module, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            pipesize=1 << 20,
        )
        self.stdin, self.stdout, self.stderr = (
            _there(pipe) for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )

    def wait(self, seconds: float) -> int | None:
        """Exit status, negative for a signal; None where it does not end in time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Leave no process and no pipe behind."""
        self._process.kill()
        self._process.__exit__(BrokenPipeError, None, None)

    def __enter__(self) -> Child:
        """Nothing more than starting it."""
        return self

    def __exit__(self, *_: object) -> None:
        """See :meth:`close`."""
        self.close()


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the child has no pipe")
    return pipe


def ask(child: Child, request: Sequence[memoryview], limits: Limits) -> Tree:
    """Send a request, if there is one, and receive the answer.

    Raises
    ------
    FailedError
        The child refused, or failed, or took longer than three times the processor time that it has.
    """
    deadline = time.monotonic() + 3.0 * limits.seconds
    try:
        for part in request:
            Pipe(child.stdin, deadline).write_all(part)
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
    raise FailedError(cause)


def _cause(child: Child, status: int | None, deadline: float, limits: Limits) -> str:
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
