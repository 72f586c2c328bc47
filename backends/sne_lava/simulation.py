"""The process that runs Lava: reads a job, simulates it, answers in frames, and never hangs.

Jobs come in kinds: each kind's module registers how it is simulated with :func:`simulate`.

Frames on the result pipe: 8 bytes of length, then a pickle of ``(kind, value)``: ``("hello", pid)``,
``("progress", steps)``, ``("done", counts)``, ``("error", text)``, ``("ended", text)`` of a process that
printed why and ended, ``("missing", text)`` of what the machine lacks. The pipe is private to a caller and
the process that it started itself; nothing read from a file or from elsewhere is unpickled.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import singledispatch
from multiprocessing import shared_memory
from typing import TYPE_CHECKING, Any, Protocol

from sne_lava import shared_memory as sharing
from sne_lava.job import GroupCounts, Job
from sne_lava.leftovers import kill_group, remove_files

if TYPE_CHECKING:
    from sne_lava.arrays import Board

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
POLL_S = 0.01
REPORT_EVERY_S = 0.25
STOP_S = 30.0
AGAIN_S = 0.1
"""A handler raises again after this: in the midst of a destructor or of a hook of fork, an error is lost."""
FAILURE_TEXT_S = 2.0
"""How long a failed process has to leave its text after Lava has said that one failed."""


class SimulationError(Exception):
    """The simulation cannot go on; the text says why."""


class EndedError(SimulationError):
    """A process of Lava's ended by itself: the text says which way, its output why."""


def serve(result: int, token: str, folder: str) -> int:
    """Do one job from standard input; the process's exit status."""

    def send(kind: str, value: Any) -> None:
        data = pickle.dumps((kind, value), protocol=5)
        _write_all(result, struct.pack("<q", len(data)))
        _write_all(result, data)

    parent = Parent(token, folder)
    try:
        send("hello", os.getpid())
        _contain(token, folder)
        with os.fdopen(0, "rb", closefd=False) as stream:
            job = pickle.load(stream)  # noqa: S301  # from the caller, on a private pipe
        _stdin_from_null()
        send("done", simulate(job, lambda steps: send("progress", steps), parent))
    except Exception as error:  # noqa: BLE001  # every failure is told to the caller, by name
        text = str(error) if isinstance(error, SimulationError) else f"{type(error).__name__}: {error}"
        missing = sharing.missing(error)
        kind = "ended" if isinstance(error, EndedError) else "error"
        parent.check()
        try:
            send(*((kind, text) if missing is None else ("missing", missing)))
        except OSError:  # nobody reads any more
            parent.clean_up()
        os._exit(1)  # not further: Lava's Runtime would wait for its processes when it is deleted
    return 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _stdin_from_null() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _contain(token: str, folder: str) -> None:
    """Name everything that Lava makes after this job, and tie its processes to this one.

    Shared memory and semaphores get the job's prefix, sockets its folder, so that they can be removed
    after a kill; a process that Lava forks is killed by the kernel when this one dies.
    """
    vars(shared_memory).update(_SHM_NAME_PREFIX=f"/{token}_", _SHM_SAFE_NAME_LENGTH=len(token) + 14)
    vars(multiprocessing.current_process())["_config"].update(semprefix=f"/{token}", tempdir=folder)
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    os.register_at_fork(after_in_child=die_with_parent)


class Running(Protocol):
    """Lava processes that run together."""

    @property
    def lead(self) -> Any:
        """The process that is run, and reports the steps."""
        ...

    @property
    def board(self) -> Board:
        """Where processes report steps and failures."""
        ...


class Parent:
    """The supervisor; without it this process removes everything itself."""

    def __init__(self, token: str, folder: str) -> None:
        self._pid = os.getppid()
        self._token, self._folder = token, folder

    def check(self) -> None:
        """End this process group where the supervisor is gone."""
        if os.getppid() != self._pid:
            self.clean_up()

    def clean_up(self) -> None:
        """Remove the job's files and end the process group, this process included."""
        remove_files(self._token, self._folder)
        kill_group(os.getpgid(0))


@singledispatch
def simulate(job: Any, progress: Callable[[int], None], parent: Parent) -> Any:  # noqa: ARG001  # registered
    """Run a job; what it gives is sent to the caller.

    Parameters
    ----------
    job : object
        Of a kind that is registered.
    progress : callable
        Called with the Lava steps done.
    parent : Parent
        To be checked while waiting.
    """
    raise SimulationError(f"no way to simulate a {type(job).__name__}")


@simulate.register(Job)
def _simulate_job(job: Job, progress: Callable[[int], None], parent: Parent) -> dict[str, GroupCounts]:
    from sne_lava.compat import import_lava

    import_lava()
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    from sne_lava.network import build, linked

    network = linked(build(job))
    tag = "fixed_pt" if job.precision == "fixed" else "floating_pt"
    with no_child_may_end(network):
        network.lead.create_runtime(run_cfg=Loihi2SimCfg(select_tag=tag))
        network.lead.run(RunSteps(num_steps=job.steps, blocking=False))
        wait_for_step(job.steps, network, progress, parent, job.stall_s)
    network.lead.wait()
    counts = network.counts(job)
    with deadline("Lava did not stop", STOP_S):
        network.lead.stop()
    return counts


@contextlib.contextmanager
def deadline(what: str, seconds: float) -> Iterator[None]:
    """Raise where Lava waits for a process that will not answer."""

    def late(_signal: int, _frame: object) -> None:
        raise SimulationError(f"{what} within {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def no_child_may_end(network: Running) -> Iterator[None]:
    """While Lava builds and runs, an ended process of its own is a failure; Lava would wait forever."""

    def ended(_signal: int, _frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        _raise_failures(network)

    both = (signal.SIGCHLD, signal.SIGALRM)
    previous = [signal.signal(number, ended) for number in both]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(both, previous, strict=True):
            signal.signal(number, handler)


def _raise_failures(network: Running) -> None:
    failure = network.board.failure
    if failure is not None:
        sys.stderr.write(failure)
        raise SimulationError(failure.partition("\n")[0])
    _no_child_ended()


def _no_child_ended() -> None:
    """Raise where a child ended; it is not reaped."""
    with contextlib.suppress(ChildProcessError):
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if info is not None:
            if info.si_code == os.CLD_EXITED:
                raise EndedError(f"a Lava process ended early with exit status {info.si_status}")
            raise SimulationError(f"a Lava process was killed by {signal.Signals(info.si_status).name}")


def wait_for_step(
    last: int, network: Running, progress: Callable[[int], None], parent: Parent, stall_s: float
) -> None:
    """Wait for the run's last step, watching for failures and for steps that do not come."""
    answer = network.lead.runtime.service_to_runtime[0]
    seen, moved, told = 0, time.monotonic(), 0.0
    while not answer.probe():
        time.sleep(POLL_S)
        parent.check()
        _raise_failures(network)
        now, step = time.monotonic(), int(network.board.step[0])
        if step != seen:
            seen, moved = step, now
        elif now - moved > stall_s:
            raise SimulationError(f"no progress for {stall_s:g} s at step {step} of {last}")
        if now - told > REPORT_EVERY_S:
            progress(step)
            told = now
    _raise_late_failure(network)
    progress(last)


def _raise_late_failure(network: Running) -> None:
    """Lava has answered: where that was an error, wait for its text and raise it."""
    from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal

    answer = network.lead.runtime.service_to_runtime[0].peek()
    if enum_equal(answer, MGMT_RESPONSE.DONE):
        return
    end = time.monotonic() + FAILURE_TEXT_S
    while network.board.failure is None and time.monotonic() < end:
        time.sleep(POLL_S)
    _raise_failures(network)
    raise SimulationError(f"Lava answered {answer} instead of finishing")
