"""Where students run: in this process, or anywhere an executor of ``concurrent.futures`` reaches.

The unit of work is one student on one chunk of samples. Results are joined in the order of the samples, so
that neither the number of workers nor the order in which they finish changes anything.
"""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import (
    FIRST_EXCEPTION,
    Future,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures import TimeoutError as LateError
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Executable, Progress, Record, RunOptions, load_backend
from sne_deploy.errors import SneError
from sne_deploy.ir.program import Program
from sne_deploy.runtime.engine import Engine
from sne_deploy.runtime.trace import Trace, join

Array = npt.NDArray[Any]
Job = tuple[int, Array]
"""A student's index and its encoded samples."""

KEPT_EXECUTABLES = 16
"""Compiled students that a worker keeps for its next chunk."""
POLL_S = 1.0
"""How often one looks whether those still are there for whose results one waits."""
CHUNK_BYTES = 2**25
"""Encoded input of one unit of work, at most."""


class Runner(Protocol):
    """Runs students on samples."""

    @property
    def executables(self) -> Sequence[Executable]:
        """Students compiled in this process, which say what those that run nowhere would have counted."""
        ...

    @property
    def processes(self) -> int:
        """Of this machine, in which they run."""
        ...

    def run(self, jobs: Sequence[Job], record: Record) -> list[Trace]:
        """One Trace per job, in the order of the jobs."""
        ...


@dataclass(frozen=True, eq=False)
class InProcess:
    """Students side by side in threads, as many as there are cores; backends release Python's lock."""

    executables: Sequence[Executable]
    processes: int = 1

    def run(self, jobs: Sequence[Job], record: Record) -> list[Trace]:
        """Run; an error or an interrupt ends what is still running."""
        pool = ThreadPoolExecutor(max(1, min(len(jobs), os.cpu_count() or 1)))
        try:
            if len(jobs) == 1:
                index, inputs = jobs[0]
                return [self.executables[index].run(inputs, record)]
            futures = [pool.submit(self.executables[index].run, inputs, record) for index, inputs in jobs]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            with ExitStack() as stack:
                for executable in self.executables:
                    stack.push(executable)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class OnExecutor:
    """Students and chunks of samples on somebody's workers: a process pool, a Dask cluster.

    Attributes
    ----------
    engine : Engine
        Not shut down here. A student's samples are cut into as many chunks as it has workers.
    target : str
    programs : sequence of Program
    progress : callable or None
    extra : mapping
        The backend's own options; see :class:`sne_deploy.backend.RunOptions`.
    executables : sequence of Executable
        The same Programs, compiled in this process; they run nothing.
    """

    engine: Engine
    target: str
    programs: Sequence[Program]
    progress: Progress | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    executables: Sequence[Executable] = ()

    @property
    def processes(self) -> int:
        """Of this machine, in which they run: this one where the workers are elsewhere."""
        return self.engine.workers if self.engine.here else 1

    def run(self, jobs: Sequence[Job], record: Record) -> list[Trace]:
        """Submit everything, then join in order.

        Raises
        ------
        RunError
            The workers were lost; errors of a unit of work are raised as they are.
        """
        submitted: list[tuple[int, list[Future[Trace]]]] = []
        try:
            for index, inputs in jobs:
                submitted.append((index, self._submit(index, inputs, record)))
            return [self._join(index, several) for index, several in submitted]
        except SneError:
            raise
        except Exception as error:
            lost = self.engine.lost(error)
            if lost is None:
                raise
            raise lost from error
        finally:
            for _, several in submitted:
                for future in several:
                    future.cancel()

    def _submit(self, index: int, inputs: Array, record: Record) -> list[Future[Trace]]:
        program, digest = self._shared(index)
        return [
            self.engine.executor.submit(
                run_unit, self.target, program, digest, part, record, dict(self.extra)
            )
            for part in self._chunks(inputs)
        ]

    def _shared(self, index: int) -> tuple[Any, str]:
        """A Program as workers get it, once for all units of work, and its digest."""
        if index not in self._sent:
            program = pickle.dumps(self.programs[index], protocol=5)
            self._sent[index] = self.engine.share(program), sha256(program).hexdigest()
        return self._sent[index]

    @cached_property
    def _sent(self) -> dict[int, tuple[Any, str]]:
        return {}

    def _chunks(self, inputs: Array) -> list[Array]:
        """Consecutive parts: a few per worker, none above CHUNK_BYTES unless a single sample is."""
        if not len(inputs):
            return [inputs]
        by_workers = -(-len(inputs) // max(1, self.engine.workers))
        by_bytes = max(1, CHUNK_BYTES // max(1, inputs[:1].nbytes))
        size = max(1, min(by_workers, by_bytes))
        return [inputs[start : start + size] for start in range(0, len(inputs), size)]

    def _join(self, index: int, futures: Sequence[Future[Trace]]) -> Trace:
        traces: list[Trace] = []
        for done, future in enumerate(futures, 1):
            traces.append(self._result(future))
            if self.progress is not None:
                self.progress(self.programs[index].name, done, len(futures))
        return join(traces)

    def _result(self, future: Future[Trace]) -> Trace:
        """Wait as long as there is somebody to wait for."""
        while True:
            try:
                return future.result(POLL_S)
            except LateError:
                if future.done():  # in the meantime, or the error is its own
                    return future.result()
                self.engine.check()


_KEPT: OrderedDict[tuple[str, str], Executable] = OrderedDict()


def run_unit(
    target: str, program: bytes, digest: str, inputs: Array, record: Record, extra: Mapping[str, Any]
) -> Trace:
    """One unit of work, on a worker: one student on one chunk of samples.

    Parameters
    ----------
    target : str
    program : bytes
        A pickled Program. It comes from the process that submits, which the worker obeys anyway.
    digest : str
        Of ``program``; the worker keeps what it compiled under it.
    inputs : array
        Encoded samples.
    record : Record
    extra : mapping
        The backend's own options.
    """
    key = (target, digest + repr(sorted(extra.items())))
    executable = _KEPT.pop(key, None)
    if executable is None:
        loaded = cast(Program, pickle.loads(program))  # noqa: S301  from our own caller, see above
        executable = load_backend(target).compile(loaded, RunOptions(extra=extra))
    _KEPT[key] = executable
    while len(_KEPT) > KEPT_EXECUTABLES:
        _, oldest = _KEPT.popitem(last=False)
        oldest.__exit__(None, None, None)
    return executable.run(np.asarray(inputs), record)
