"""Lava's workers without their start-up: a process that has Lava loaded forks one for each job.

A fork runs the very ``main`` of :mod:`sne_lava.worker`, with the pipes, session and environment of a started
one. Only the start of the interpreter and the imports are left out. Tests of how a worker starts, ends and
is killed start real ones.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress

from sne_lava.child import _ONE_THREAD
from tests.warm_reader import MESSAGE_BYTES, receive


def serve(connection):
    """Fork for every request: a job's token and folder, and the descriptors of its pipes."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 6)
        reap()
        if not request:
            return
        if os.fork() == 0:
            try:
                connection.close()
                watch(json.loads(request), *descriptors)
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def reap():
    """Take leave of the forks that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def watch(spec, told, *pipes):
    """In the fork: start the worker, and tell its pid and then how it ended."""
    pid = os.fork()
    if pid == 0:
        os.close(told)
        become_worker(spec, *pipes)
    for pipe in pipes:
        os.close(pipe)
    with socket.socket(fileno=told) as answer:
        answer.sendall(pid.to_bytes(8, "little"))
        _, status = os.waitpid(pid, 0)
        answer.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, "little", signed=True))


def become_worker(spec, stdin, stdout, stderr, lifeline, result):
    """What a started worker does, and never return."""
    from sne_lava import worker

    status = 1
    try:
        os.setsid()
        for number, pipe in enumerate((stdin, stdout, stderr)):
            os.dup2(pipe, number)
            os.close(pipe)
        os.environ["TMPDIR"], tempfile.tempdir = spec["folder"], None
        ends = {"caller": os.getppid(), "lifeline": lifeline, "result": result}
        sys.argv[1:] = [json.dumps({**spec, **ends})]
        status = worker.main()
    finally:
        os._exit(status)


class WarmWorker:
    """Stands for the ``Popen`` of a worker."""

    def __init__(self, server, spec, lifeline, result):
        self.returncode = None
        self.connection, told = socket.socketpair()
        (stdin, write), (read, stdout), (errors, stderr) = (os.pipe() for _ in range(3))
        theirs = [told.fileno(), stdin, stdout, stderr, lifeline, result]
        socket.send_fds(server, [json.dumps(spec).encode()], theirs)
        told.close()
        for pipe in (stdin, stdout, stderr):
            os.close(pipe)
        self.stdin = open(write, "wb", 0)  # noqa: PTH123, SIM115  # the worker closes it
        self.stdout, self.stderr = (open(pipe, "rb", 0) for pipe in (read, errors))  # noqa: PTH123, SIM115
        self.pid = int.from_bytes(receive(self.connection, 8), "little")

    def wait(self, timeout=None):
        if self.returncode is None:
            self.connection.settimeout(timeout)
            try:
                status = receive(self.connection, 8)
            except TimeoutError:
                raise subprocess.TimeoutExpired("a warm worker", timeout) from None
            self.connection.close()
            self.returncode = int.from_bytes(status, "little", signed=True)
        return self.returncode

    def kill(self):
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


class LavaServer:
    """A process that forks workers, started for the first of them. Use as a context manager."""

    def __init__(self):
        self.connection = self.process = None
        self.lock = threading.Lock()

    def start_worker(self, worker, lifeline, result):
        """Stands for ``Worker._start``."""
        with self.lock:
            if self.process is None:
                self._start()
        spec = {"token": worker._token, "folder": worker._folder}
        return WarmWorker(self.connection, spec, lifeline, result)

    def _start(self):
        self.connection, theirs = socket.socketpair()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
            **dict.fromkeys(_ONE_THREAD, "1"),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONWARNINGS": "",
        }
        command = [sys.executable, "-m", "tests.warm_lava", str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None:
            with self.connection:
                self.connection.shutdown(socket.SHUT_RDWR)  # also where a fork of this process still has it
            self.process.wait()


def load():
    """All that a job imports, and what Lava's compiler makes networkx import with its first graph."""
    from sne_lava.compat import import_lava

    import_lava()
    import lava.magma.core.run_configs
    import lava.proc.conv.process
    import lava.proc.dense.process
    import lava.proc.lif.process  # noqa: F401
    import networkx as nx

    import sne_lava.network  # noqa: F401
    import sne_netx.simulation  # noqa: F401

    nx.DiGraph([(0, 1)])


def main(number):
    load()
    gc.freeze()
    with socket.socket(fileno=int(number)) as connection:
        serve(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
