"""A Dask scheduler and workers as processes of their own, on the loopback address."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time

CONNECT_S = 90


class Cluster:
    """A context manager; its scheduler and its workers can be killed and started again.

    Parameters
    ----------
    workers : int
        How many are there at the beginning.
    """

    def __init__(self, workers: int) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()
        for _ in range(workers):
            self.add_worker()
        self.wait_for(workers)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            kill(process)

    def start_scheduler(self) -> None:
        """At the same address as before."""
        self.scheduler = _start("dask_scheduler", "--port", str(self.port))

    def add_worker(self) -> None:
        """One with a thread, that no nanny starts again."""
        self.workers.append(_start("dask_worker", self.address, "--nthreads", "1", "--no-nanny"))

    def kill_worker(self, index: int) -> None:
        """Without a warning."""
        kill(self.workers.pop(index))

    def wait_for(self, workers: int) -> None:
        """Until so many have come."""
        from distributed import Client

        deadline = time.monotonic() + CONNECT_S
        while True:
            try:
                with Client(self.address, timeout=5, set_as_default=False) as client:
                    client.wait_for_workers(workers, timeout=CONNECT_S)
                    return
            except (OSError, TimeoutError):
                if time.monotonic() > deadline:
                    raise

    def wait_for_work(self, process: subprocess.Popen[str]) -> bool:
        """Until a worker has something to do for a process; False where that ended first."""
        from distributed import Client

        with Client(self.address, timeout=CONNECT_S, set_as_default=False) as client:
            while process.poll() is None:
                if any(client.processing().values()):
                    return True
                time.sleep(0.01)
        return False


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that runs or has ended, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()


def _start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--host", "127.0.0.1"]
    return subprocess.Popen(
        [*command, "--no-dashboard"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
