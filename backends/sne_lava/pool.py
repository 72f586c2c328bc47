"""What runs a Program of Lava's targets: a worker process per run, from any thread, none left when closed."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record, RunOptions
from sne_deploy.errors import RunError, TargetError
from sne_deploy.ir.program import Program
from sne_deploy.runtime.trace import Trace, join
from sne_lava.child import MissingError, Worker, WorkerError
from sne_lava.lowering import checked_inputs

Array = npt.NDArray[Any]


class WorkerPool:
    """Starts a worker for each job.

    Parameters
    ----------
    target, student : str
        For messages.
    """

    def __init__(self, target: str, student: str) -> None:
        self._target, self._student = target, student
        self._lock = threading.Lock()
        self._workers: set[Worker] = set()
        self._closed = False

    def close(self) -> None:
        """End every job that is still going, in whatever thread; their ``run`` raises RunError."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()

    def run(self, job: Any, progress: Callable[[int], None]) -> Any:
        """Do a job in a worker of its own; what it answers.

        Raises
        ------
        RunError
            The worker failed or was killed, or the pool is closed; names the student and the cause.
        TargetError
            The machine lacks what a worker needs.
        """
        try:
            with self._started() as worker:
                try:
                    return worker.run(job, progress)
                finally:
                    with self._lock:
                        self._workers.discard(worker)
        except MissingError as error:
            raise TargetError(f"target {self._target!r}: {error}") from None
        except WorkerError as error:
            raise RunError(f"student {self._student!r} on target {self._target}: {error}") from None

    def _started(self) -> Worker:
        with self._lock:
            if self._closed:
                raise RunError(f"student {self._student!r}: closed already; compile it again")
            worker = Worker()
            self._workers.add(worker)
            return worker


class WorkerExecutable(ABC):
    """A Program that runs in workers.

    Parameters
    ----------
    target : str
    program : Program
    options : RunOptions
    stall_s : float
        Seconds without a step after which a run is given up.
    """

    def __init__(self, target: str, program: Program, options: RunOptions, stall_s: float) -> None:
        self._program, self._options, self._stall_s = program, options, stall_s
        self._pool = WorkerPool(target, program.name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every run that is still going, in whatever thread; their ``run`` raises RunError."""
        self._pool.close()

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run N samples, so many back to back in one run as ``options.stream`` says, or all.

        Parameters
        ----------
        inputs : array of shape (N, T, *shape) of 0 and 1, or (N, *shape)
        record : {"counts", "spikes", "all"}
            ``"all"`` also keeps u and v after every step, where the target shows them.

        Raises
        ------
        DataError
            The samples do not fit.
        RunError
            A simulation failed or was killed; names the student and the cause.
        """
        samples = checked_inputs(self._program, np.asarray(inputs))
        size = self._options.stream or len(samples)
        chunks = [samples[start : start + size] for start in range(0, len(samples), size)]
        jobs = [self._job(chunk, record) for chunk in chunks]
        total, before, parts = sum(job.steps for job, _ in jobs), 0, []
        for chunk, (job, saturated) in zip(chunks, jobs, strict=True):
            found = self._pool.run(job, self._progress(before, total))
            parts.append(self._trace(chunk, found, saturated, record))
            before += job.steps
        return join(parts)

    def _progress(self, before: int, total: int) -> Callable[[int], None]:
        def progress(steps: int) -> None:
            if self._options.progress is not None:
                self._options.progress(self._program.name, before + steps, total)

        return progress

    def _entered(self, samples: Array) -> Array:
        """Per sample: spikes of the input, graded messages of the host, and the always-on axon's spikes."""
        total = np.full(len(samples), self._program.steady_messages * self._program.timesteps, np.int64)
        if self._program.spike_input:
            total += samples.reshape(len(samples), -1).astype(bool).sum(axis=1, dtype=np.int64)
        return total

    @abstractmethod
    def _job(self, samples: Array, record: Record) -> tuple[Any, int]:
        """What a worker is sent, and how many host constants were clipped."""

    @abstractmethod
    def _trace(self, samples: Array, found: Any, saturated: int, record: Record) -> Trace:
        """What a worker found, as a Trace of these samples."""
