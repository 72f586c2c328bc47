"""The reader of untrusted HDF5 files without its start-up: a process with h5py loaded forks for each file.

A fork runs the very ``main`` of the production child, with the same arguments, environment and limits, and
writes to pipes of its own; a crash in it is its own. Only the start of the interpreter is left out.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

MESSAGE_BYTES = 1 << 16


def serve(connection, child):
    """Fork for every request (arguments and the ends of two pipes); answer with the pid, then its status.

    The fork is reaped once the client says so: until then its number is not given to another process.
    """
    while True:
        request, pipes, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 2)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            run(child, json.loads(request), pipes)
        for pipe in pipes:
            os.close(pipe)
        connection.sendall(pid.to_bytes(8, "little"))
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        connection.sendall(status.to_bytes(8, "little", signed=True))
        receive(connection, 1)
        os.waitpid(pid, 0)


def run(child, arguments, pipes):
    """In the fork: what ``python -I -S hdf5_child.py`` does, and never return."""
    status = 1
    try:
        for number, pipe in zip((1, 2), pipes, strict=True):
            os.dup2(pipe, number)
            os.close(pipe)
        status = child.main(arguments)
    except BaseException:  # noqa: BLE001  # as an interpreter that ends with it
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


class WarmChild:
    """Stands for the child that ``hdf5_file`` starts."""

    def __init__(self, connection, arguments):
        self.connection, self.status = connection, None
        ends = [os.pipe(), os.pipe()]
        socket.send_fds(connection, [json.dumps(arguments).encode()], [write for _, write in ends])
        for _, write in ends:
            os.close(write)
        self.stdout, self.stderr = (open(read, "rb", 0) for read, _ in ends)  # noqa: PTH123, SIM115  # until exit
        self.pid = int.from_bytes(receive(connection, 8), "little")

    def wait(self, seconds):
        if self.status is None:
            self.connection.settimeout(seconds)
            try:
                self.status = int.from_bytes(receive(self.connection, 8), "little", signed=True)
            except TimeoutError:
                return None
            finally:
                self.connection.settimeout(None)
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        self.wait(None)
        self.connection.sendall(b"x")
        self.stdout.close()
        self.stderr.close()


def receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("the warm reader has ended")
        data += part
    return data


@contextmanager
def warm_reader():
    """Let ``hdf5_file`` fork a warm reader instead of starting one."""
    import pytest

    import sne_deploy
    from sne_deploy.frontend.hdf5 import file as hdf5_file

    ours, theirs = socket.socketpair()
    folders = json.loads(hdf5_file.child_options((), hdf5_file.LIMITS))["import_path"]
    command = [
        sys.executable,
        "-I",
        "-S",
        __file__,
        str(theirs.fileno()),
        str(Path(sne_deploy.__file__).parents[1]),
        *folders,
    ]
    server = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=hdf5_file.reader_environment())

    def start(file: Path, roots, limits):
        return WarmChild(ours, [str(file.absolute()), hdf5_file.child_options(roots, limits)])

    with ours, server, pytest.MonkeyPatch.context() as patch:
        theirs.close()
        patch.setattr(hdf5_file, "_start_child", start)
        yield server
        ours.shutdown(socket.SHUT_RDWR)


def main(number, *folders):
    sys.path += folders
    import encodings.ascii  # noqa: F401

    import h5py  # noqa: F401

    from sne_deploy.frontend.hdf5 import child

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.freeze()
    with socket.socket(fileno=int(number)) as connection:
        serve(connection, child)


if __name__ == "__main__":
    main(*sys.argv[1:])
