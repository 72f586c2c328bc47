"""A job whose process ends by itself, after it has printed why."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from types import SimpleNamespace

from sne_lava.simulation import no_child_may_end, simulate


@dataclass(frozen=True)
class Ends:
    """What to print, and the status to end with."""

    text: str
    status: int


@simulate.register(Ends)
def _simulate(job: Ends, _progress: object, _parent: object) -> None:
    with no_child_may_end(SimpleNamespace(board=SimpleNamespace(failure=None))):
        if os.fork() == 0:
            os.write(2, job.text.encode())
            os._exit(job.status)
        while True:  # a signal may come just before a long sleep would begin
            time.sleep(0.01)
