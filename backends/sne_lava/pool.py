"""The worker processes of a compiled student: one per run, from any thread, none left when it closes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sne_deploy.errors import RunError
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
