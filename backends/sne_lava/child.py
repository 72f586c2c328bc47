"""Starting the worker process, talking to it, and making sure that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import secrets
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from sne_deploy.sandbox.lifeline import Lifeline, end_all
from sne_deploy.stopping import at_stop
from sne_lava import shared_memory as sharing
from sne_lava.leftovers import folder_name, kill_group, remove_files, wait_group

TAIL_LINES = 8
"""Lines of the worker's output that a message quotes."""
SETTLE_S = 10.0
"""How long the supervisor may take to clean up before the caller does it."""
_CHUNK = 1 << 20
_PROGRAM = """
import sys
sys.path[:] = sys.argv[2:]
from sne_lava.worker import main
sys.exit(main())
"""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


at_stop(end_all)


class WorkerError(Exception):
    """The worker failed; the text says how."""


class MissingError(WorkerError):
    """The machine lacks what a worker needs."""


class Worker:
    """One worker process and its pipes, for one job. Use as a context manager."""

    def __init__(self) -> None:
        self._token = f"sne{secrets.token_hex(6)}"
        self._folder = str(Path(_short_folder(), folder_name(self._token)))  # the supervisor makes it
        self._simulation: int | None = None
        self._tail: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._buffer = bytearray()
        self._verdict = b""
        self._killed = False
        self._lifeline = Lifeline()
        self._result, result_write = os.pipe()
        try:
            self._process = self._start(self._lifeline.held, result_write)
        except BaseException:
            self._lifeline.close()
            os.close(self._result)
            raise
        finally:
            self._lifeline.started()
            os.close(result_write)

    def _start(self, lifeline: int, result: int) -> subprocess.Popen[bytes]:
        spec = {
            "token": self._token,
            "folder": self._folder,
            "caller": os.getpid(),
            "lifeline": lifeline,
            "result": result,
        }
        paths = [str(Path(path).absolute()) for path in sys.path]
        environment = {
            **os.environ,
            **dict.fromkeys(_ONE_THREAD, "1"),
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": self._folder,
            "PYTHONWARNINGS": "",  # Lava's own warnings are not the caller's to judge
        }
        return subprocess.Popen(  # noqa: S603  # our own module, no shell
            [sys.executable, "-c", _PROGRAM, json.dumps(spec), *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            pass_fds=(lifeline, result),
            start_new_session=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kill(self) -> None:
        """End the job from any thread: the supervisor kills the simulation and removes what is left."""
        self._killed = True
        self._lifeline.close()

    def close(self) -> None:
        """Let the supervisor end and clean up; where it cannot, do so here. Idempotent."""
        self._lifeline.close()
        if self._result < 0:
            return
        os.close(self._result)
        self._result = -1
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # unsent input
                    stream.close()
        try:
            self._process.wait(SETTLE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._simulation is not None and self._process.returncode != 0:  # else it has seen to all this
            remove_files(self._token, self._folder)  # before and after: see _listen
            kill_group(self._simulation)
            wait_group(self._simulation, SETTLE_S)
        remove_files(self._token, self._folder)

    def run(self, job: Any, progress: Callable[[int], None]) -> Any:
        """Send a job and wait for what it gives; see :func:`sne_lava.simulation.simulate`.

        Raises
        ------
        WorkerError
            The simulation failed, was killed, or the worker could not start.
        """
        try:
            return self._exchange(pickle.dumps(job, protocol=5), progress)
        except _Ended:
            raise WorkerError(self._why_it_ended()) from None

    def _exchange(self, data: bytes, progress: Callable[[int], None]) -> Any:
        stdin = _pipe(self._process.stdin)
        unsent = memoryview(data)
        os.set_blocking(stdin.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE, "job")
            selector.register(_pipe(self._process.stdout), selectors.EVENT_READ, "verdict")
            selector.register(_pipe(self._process.stderr), selectors.EVENT_READ, "output")
            selector.register(self._result, selectors.EVENT_READ, "result")
            while True:
                for key, _ in selector.select():
                    if key.data == "job":
                        unsent = self._send(unsent, stdin, selector)
                    elif key.data == "result":
                        for kind, value in self._frames():
                            if kind == "done":
                                return value
                            self._handle(kind, value, progress)
                    elif not self._listen(key.fd, key.data):
                        selector.unregister(key.fileobj)

    def _send(self, unsent: memoryview, pipe: IO[bytes], selector: selectors.BaseSelector) -> memoryview:
        with contextlib.suppress(BlockingIOError):
            try:
                unsent = unsent[os.write(pipe.fileno(), unsent[:_CHUNK]) :]
            except BrokenPipeError:
                unsent = unsent[:0]  # the reason follows on the other pipes
        if not unsent:
            selector.unregister(pipe)
            pipe.close()
        return unsent

    def _listen(self, descriptor: int, what: str) -> bool:
        """Take what the worker prints; False at its end."""
        data = os.read(descriptor, _CHUNK)
        if what == "output":
            self._tail.extend(line for line in data.splitlines() if line.strip())
        else:
            self._verdict += data
            if not data and not self._verdict and self._simulation is not None:
                # The supervisor was killed: end what it watched over. Files first: this process may be
                # killed at any moment too, and the simulation can clean up only while it lives.
                remove_files(self._token, self._folder)
                kill_group(self._simulation)
        return bool(data)

    def _frames(self) -> list[tuple[str, Any]]:
        data = os.read(self._result, _CHUNK)
        if not data:
            raise _Ended
        self._buffer += data
        frames = []
        while len(self._buffer) >= 8:
            (length,) = struct.unpack_from("<q", self._buffer)
            if len(self._buffer) < 8 + length:
                break
            frames.append(pickle.loads(self._buffer[8 : 8 + length]))  # noqa: S301  # our own process's pipe
            del self._buffer[: 8 + length]
        return frames

    def _handle(self, kind: str, value: Any, progress: Callable[[int], None]) -> None:
        if kind == "error":
            raise WorkerError(value)
        if kind == "ended":
            raise WorkerError(self._with_output(value))
        if kind == "missing":
            raise MissingError(value)
        if kind == "hello":
            self._simulation = value
        else:
            progress(value)

    def _why_it_ended(self) -> str:
        if self._killed:
            return "the simulation was closed while it ran"
        verdict = self._verdict + _pipe(self._process.stdout).read()
        if verdict:
            text = f"the simulation ended: {verdict.decode(errors='replace').strip()}"
            if b"SIGBUS" in verdict:  # what a page of shared memory that has no room gives
                text += f"; {sharing.FOLDER} may be full: {sharing.LARGER}"
        else:
            status = self._process.wait()
            how = (
                f"ended with status {status}"
                if status >= 0
                else f"was killed by {signal.Signals(-status).name}"
            )
            text = f"the worker {how}"
        return self._with_output(text)

    def _with_output(self, text: str) -> str:
        output = _pipe(self._process.stderr)
        os.set_blocking(output.fileno(), False)
        with contextlib.suppress(BlockingIOError):  # nothing more so far, and others may still print
            while self._listen(output.fileno(), "output"):
                pass
        tail = " | ".join(line.decode(errors="replace") for line in self._tail)
        return f"{text}; its last output: {tail}" if tail else text


class _Ended(Exception):  # noqa: N818  # not an error yet
    """The result pipe ended before the result."""


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise WorkerError("the worker was started without pipes")
    return stream


def _short_folder() -> str:
    """A temporary folder whose sockets' paths fit the 108 bytes that Linux allows."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= 48 else "/tmp"  # noqa: S108  # mkdtemp follows
