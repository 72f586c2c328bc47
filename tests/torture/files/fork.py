"""A file is read in a fork of this process, with bounds on its time and on what memory it takes beyond."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from pathlib import Path

from sne_deploy.text import visible
from tests.torture.files.kind import Kind

SECONDS = 20
"""Of processor time."""
MOST_SECONDS = 300.0
"""On the clock: the machine may be busy."""
MOST_BYTES = 1 << 30
HELD = ("result", "refused")


def outcome(kind: Kind, path: Path) -> str:
    """Read a file in a fork: "result", "refused", or what went wrong."""
    said = path.parent / "said"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pid = os.fork()
    if pid == 0:
        _in_fork(kind, path, said)
    code, used = _ended(pid)
    if code is None:
        return f"took longer than {MOST_SECONDS:.0f} s"
    text = said.read_text(errors="backslashreplace")
    if used - before > MOST_BYTES >> 10:
        return f"took {(used - before) >> 10} MiB"
    if code == 0:
        return "result"
    lines = [line for line in text.splitlines() if not line.startswith("Running the first")]
    if code == 2 and len(lines) == 1 and lines[0].startswith("error: ") and visible(lines[0]) == lines[0]:
        return "refused"
    return f"status {code}: {' / '.join(lines)[-400:]}"


def _ended(pid: int) -> tuple[int | None, int]:
    """Status, None where it had to be killed, and the most memory in KiB."""
    deadline = time.monotonic() + MOST_SECONDS
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), used.ru_maxrss
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.wait4(pid, 0)
            return None, 0
        time.sleep(0.002)


def _in_fork(kind: Kind, path: Path, said: Path) -> None:
    status = 70
    try:
        stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MOST_BYTES, -1))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        status = kind.read(path)
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001  # as an interpreter that ends with it
        os.write(2, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(status)
