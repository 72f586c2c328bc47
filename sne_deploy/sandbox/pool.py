"""Processes that work for this one, as an executor: no main guard, nothing named that could be left behind.

Each process has a thread here that sends it one call after the other by pipes. A process is killed, with its
children, when the pool is shut down and when this process is gone (:mod:`sne_deploy.sandbox.lifeline`). Pipes
and processes are all there is, no semaphore and no shared memory.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from multiprocessing import spawn
from pathlib import Path
from types import FunctionType
from typing import IO, Any, TypeVar

from sne_deploy.errors import RunError
from sne_deploy.sandbox.process import Child, how_it_ended

_T = TypeVar("_T")
_SETTLE_S = 5.0
_PROGRAM = """
import sys
sys.path[:] = sys.argv[1:]
from sne_deploy.sandbox.lifeline import hold
hold()
from sne_deploy.sandbox.pool import serve
sys.exit(serve())
"""


class WorkerLostError(BrokenExecutor):
    """A process ended before it had answered: how."""


class _RemoteError(Exception):
    """Where a process raised: its traceback, as text."""

    def __str__(self) -> str:
        """As the process would have printed it."""
        return f"\n{self.args[0]}"


class ProcessPool(Executor):
    """So many processes, each started when it is first needed.

    Parameters
    ----------
    workers : int
    environment : mapping
        Changes of the environment of the processes.

    Notes
    -----
    What is called, its arguments and its result are pickled, by name where they are functions or classes:
    they belong to modules that the processes can import. For those of a script itself the script is run in
    them under another name than ``__main__``, as by :mod:`multiprocessing`. After a process was lost, the
    next call starts another.

    Raises
    ------
    RunError
        This process is one that runs a script again, and the script asks for a pool there.
    """

    def __init__(self, workers: int, environment: Mapping[str, str] | None = None) -> None:
        if _scripts:
            raise RunError(
                "a script that sends functions or classes of its own to processes is run in them, too: put "
                'what it does below `if __name__ == "__main__":`'
            )
        self._environment = {**os.environ, **(environment or {})}
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sne-worker")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._children: set[Child] = set()
        self._closed = False

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Call ``fn(*args, **kwargs)`` in a process; its future."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002  always
        """End all processes at once, whatever they do."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
        self._threads.shutdown(wait=wait, cancel_futures=True)
        if wait:
            for child in self._children:
                child.close()
            self._children.clear()

    @property
    def processes(self) -> list[int]:
        """Those that were started and not lost."""
        with self._lock:
            return [child.pid for child in self._children]

    def _call(self, fn: Callable[..., _T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _T:
        script, data = _pickled((fn, args, kwargs))
        child = self._child()
        try:
            _send(child.stdin, script)
            _send(child.stdin, data)
            done, result, said = pickle.loads(_receive(child.stdout))  # noqa: S301  our own process, our own pipe
        except (EOFError, OSError):
            raise WorkerLostError(self._lost(child)) from None
        except BaseException:
            self._lost(child)
            raise
        if done:
            found: _T = result
            return found
        raise result from _RemoteError(said)

    def _child(self) -> Child:
        """The process of this thread."""
        found: Child | None = getattr(self._mine, "child", None)
        if found is None:
            with self._lock:
                if self._closed:
                    raise WorkerLostError("the pool is shut down")
                paths = [str(Path(path).absolute()) for path in sys.path]
                command = [sys.executable, "-c", _PROGRAM, *paths]
                self._mine.child = found = Child(command, self._environment, stderr=None)
                self._children.add(found)
        return found

    def _lost(self, child: Child) -> str:
        """Leave nothing of a process that cannot be used any more; how it ended."""
        self._mine.child = None
        status = child.wait(_SETTLE_S)
        with self._lock:
            self._children.discard(child)
        child.close()
        return f"its process {how_it_ended(status)}"


class _Pickler(pickle.Pickler):
    """Notes whether a function or a class is the script's own."""

    of_script = False

    def reducer_override(self, value: Any) -> Any:
        """Change nothing."""
        if isinstance(value, (type, FunctionType)) and value.__module__ == "__main__":
            self.of_script = True
        return NotImplemented


def _pickled(call: Any) -> tuple[bytes, bytes]:
    """What finds the script in a process, where it is needed; and the call."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol=5)
    pickler.dump(call)
    script: dict[str, Any] = {}
    if pickler.of_script:
        known = spawn.get_preparation_data("sne")
        script = {name: value for name, value in known.items() if name.startswith("init_main_from_")}
        if not script:
            raise RunError(
                "functions and classes of a session are not sent to processes: put them into a module"
            )
    return json.dumps(script).encode(), stream.getvalue()


_scripts: list[dict[str, Any]] = []
"""In a process: the script that was run, where one was."""


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "little"))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    size = stream.read(8)
    data = stream.read(int.from_bytes(size, "little")) if len(size) == 8 else b""
    if len(size) < 8 or len(data) < int.from_bytes(size, "little"):
        raise EOFError
    return data


def serve() -> int:
    """In a process: do one call after the other, until there is none; what is printed goes to stderr."""
    with os.fdopen(os.dup(0), "rb") as calls, os.fdopen(os.dup(1), "wb") as answers:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        while True:
            try:
                script, data = json.loads(_receive(calls)), _receive(calls)
            except EOFError:
                return 0
            _send(answers, _answer(script, data))


def _answer(script: dict[str, Any], data: bytes) -> bytes:
    try:
        if script and script not in _scripts:
            _scripts.append(script)
            spawn.prepare(script)
        fn, args, kwargs = pickle.loads(data)  # noqa: S301  from the process that started this one
        return pickle.dumps((True, fn(*args, **kwargs), ""), protocol=5)
    except Exception as error:  # noqa: BLE001  raised where the call came from
        said = traceback.format_exc()
        try:
            answer = pickle.dumps((False, error, said), protocol=5)
            pickle.loads(answer)  # noqa: S301  our own; some errors can be pickled, and not be read again
        except Exception:  # noqa: BLE001  whatever its own code raises
            answer = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), said), protocol=5)
        return answer
