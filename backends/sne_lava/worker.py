"""The supervisor of one simulation, started by :mod:`sne_lava.child`.

It starts the simulation as a child in a process group of its own, and kills that whole group when the
simulation ends, fails or is killed, or when the caller is gone; then it removes what is left in shared
memory, and prints one line that says how the simulation ended. A stop signal to all processes, as a service
manager sends it, is for the others. It imports neither Lava nor NumPy.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from sne_deploy.leftovers import make_locked
from sne_deploy.stopping import SIGNALS
from sne_lava.leftovers import kill_group, remove_files, sweep

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
POLL_S = 0.01


def main() -> int:
    """Run the simulation and clean up after it.

    The first argument is JSON: ``token`` (prefix of the job's shared-memory names), ``folder`` (its temporary
    folder), ``caller`` (process id), ``lifeline`` (a pipe that ends when the caller does), ``result`` (the
    pipe that the simulation answers on).
    """
    spec = json.loads(sys.argv[1])
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _adopt_orphans()
    folder = Path(spec["folder"])
    sweep(folder.parent)
    make_locked(folder)
    os.chdir(folder)
    simulation = os.fork()
    if simulation == 0:
        _become_simulation(spec)
    with contextlib.suppress(ProcessLookupError):  # it may have failed already
        os.setpgid(simulation, simulation)
    os.close(spec["result"])
    os.close(0)
    verdict = _watch(spec, simulation)
    remove_files(spec["token"], spec["folder"])  # and again below: a kill in between leaves nothing
    kill_group(simulation)
    _reap()
    remove_files(spec["token"], spec["folder"])
    sys.stdout.write(f"{verdict}\n")
    sys.stdout.flush()
    return 0


def _adopt_orphans() -> None:
    """Become the parent of Lava's processes when the simulation dies first, so that none outlives us."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _become_simulation(spec: dict[str, Any]) -> None:
    status = 1
    try:
        os.setpgid(0, 0)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.close(spec["lifeline"])
        os.dup2(2, 1)  # what Lava prints goes where its errors go
        from sne_lava.simulation import serve

        status = serve(spec["result"], spec["token"], spec["folder"])
    finally:
        sys.stderr.flush()
        os._exit(status)


def _watch(spec: dict[str, Any], simulation: int) -> str:
    """Wait for the simulation's end, or the caller's; say which."""
    while True:
        ended, _, _ = select.select([spec["lifeline"]], [], [], POLL_S)
        if ended or os.getppid() != spec["caller"]:
            return "the caller is gone"
        pid, status = os.waitpid(simulation, os.WNOHANG)
        if pid:
            return describe(status)


def describe(status: int) -> str:
    """A wait status in words: ``exit 0``, ``killed by SIGKILL``."""
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit {os.WEXITSTATUS(status)}"


def _reap() -> None:
    """Wait for everything that was killed, Lava's orphans included."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
