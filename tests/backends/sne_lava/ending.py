"""A job whose process ends by itself, after it has printed why."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from types import SimpleNamespace

from sne_lava.simulation import EndedError, no_child_may_end, simulate


@dataclass(frozen=True)
class Ends:
    """What to print, the status to end with, and how often the error of it is lost, as in a destructor."""

    text: str
    status: int
    lost: int = 0


@simulate.register(Ends)
def _simulate(job: Ends, _progress: object, _parent: object) -> None:
    with no_child_may_end(SimpleNamespace(board=SimpleNamespace(failure=None))):
        if os.fork() == 0:
            os.write(2, job.text.encode())
            os._exit(job.status)
        for _ in range(job.lost):
            with contextlib.suppress(EndedError):
                _sleep()
        _sleep()


def _sleep() -> None:
    while True:  # a signal may come just before a long sleep would begin
        time.sleep(0.01)
