"""A child process: asked by pipes, killed at the end or when its parent is gone.

One that works on an untrusted file is started with little.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sne_deploy.errors import SneError
from sne_deploy.sandbox.lifeline import VARIABLE, Lifeline, end_all
from sne_deploy.sandbox.reply import DamagedError, EndError, LateError, Limits, Pipe, RefusedError, read_reply
from sne_deploy.stopping import at_stop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from sne_deploy.sandbox.reply import Tree

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""What a child gets of the environment; anything more could make it do more than read."""
_PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from sne_deploy.sandbox.lifeline import hold
hold()
from {module} import main
del sys.path[-1]
sys.exit(main(sys.argv[2:]))
"""
"""Imports the child from a folder that hides no other module."""
PATIENCE = 10.0
"""By the clock a child has so many times its processor time: a busy machine gives it no more than a part."""


at_stop(end_all)


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
    """A running child, killed when its context ends, or this process.

    It leads a session of its own: what a terminal tells its programs is not for it. It must call
    :func:`sne_deploy.sandbox.lifeline.hold` before anything else.

    Parameters
    ----------
    command : list of str
    environment : mapping
    stderr : int or None
        Where its errors go; None: where this process's do.
    """

    def __init__(
        self, command: list[str], environment: Mapping[str, str], stderr: int | None = subprocess.PIPE
    ) -> None:
        self._lifeline = Lifeline()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**environment, VARIABLE: str(self._lifeline.held)},
                pass_fds=(self._lifeline.held,),
                start_new_session=True,
                pipesize=1 << 20,
            )
        except BaseException:
            self._lifeline.close()
            raise
        finally:
            self._lifeline.started()
        self.stdin, self.stdout = _there(self._process.stdin), _there(self._process.stdout)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def stderr(self) -> IO[bytes]:
        """The pipe of its errors."""
        return _there(self._process.stderr)

    def wait(self, seconds: float) -> int | None:
        """Exit status, negative for a signal; None where it does not end in time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Leave no process and no pipe behind."""
        self.kill()
        with contextlib.suppress(BrokenPipeError):  # what it has not read
            self.stdin.close()
        self._process.__exit__(None, None, None)
        self._lifeline.close()

    def kill(self) -> None:
        """End it and what it started, from any thread; :meth:`close` follows."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

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
        The child refused, or failed, or took longer than :data:`PATIENCE` times its processor time.
    """
    deadline = time.monotonic() + PATIENCE * limits.seconds
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
        return f"its reader {how_it_ended(status)}; {limit}"
    errors = bytearray(1 << 16)
    count = Pipe(child.stderr, deadline + 1.0).read_some(memoryview(errors))
    last = errors[:count].decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
    return f"its reader failed with status {status}: {last[0]}"


def how_it_ended(status: int | None) -> str:
    """A status in words, negative for a signal: ``was killed by SIGKILL``."""
    if status is None:
        return "does not answer"
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name if -status in list(signal.Signals) else f"signal {-status}"
    return f"was killed by {name}"
