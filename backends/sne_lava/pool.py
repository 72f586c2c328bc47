"""What runs a Program of Lava's targets: a worker process per run, from any thread, none left when closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sne_deploy.backend import RunOptions
from sne_deploy.errors import RunError
from sne_deploy.ir.program import Program
from sne_lava.child import Worker, WorkerError


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
        """
        try:
            with self._started() as worker:
                try:
                    return worker.run(job, progress)
                finally:
                    with self._lock:
                        self._workers.discard(worker)
        except WorkerError as error:
            raise RunError(f"student {self._student!r} on target {self._target}: {error}") from None

    def _started(self) -> Worker:
        with self._lock:
            if self._closed:
                raise RunError(f"student {self._student!r}: closed already; compile it again")
            worker = Worker()
            self._workers.add(worker)
            return worker


class WorkerExecutable:
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

    def _work(self, job: Any, total: int, before: int = 0) -> Any:
        """What a worker makes of a job; ``total`` steps are to be done, ``before`` are."""

        def progress(steps: int) -> None:
            if self._options.progress is not None:
                self._options.progress(self._program.name, before + steps, total)

        return self._pool.run(job, progress)
