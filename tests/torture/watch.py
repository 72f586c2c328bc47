"""Processes of a command that is being tried, seen from outside, in Linux' ``/proc``."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def progress_s(pid: int) -> tuple[float, set[int]]:
    """Processor seconds that a process and all below it have taken, and those of them that live.

    What a machine that is busy with other things takes longer for is as far by this clock.
    """
    seconds, living, left = 0.0, set(), [pid]
    while left:
        each = left.pop()
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = Path(f"/proc/{each}/stat").read_text(errors="replace").rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:15])) / _TICKS  # its own, and of those that it waited for
            if fields[0] not in "ZX":
                living.add(each)
            for task in os.scandir(f"/proc/{each}/task"):
                left += map(int, Path(task.path, "children").read_bytes().split())
    return seconds, living


def hears(pid: int, number: signal.Signals) -> bool:
    """Whether a process handles a signal itself."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def marked(mark: str) -> set[int]:
    """The living processes that have a text in their environment, however they came to be."""
    wanted, found = os.fsencode(mark), set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                path = Path(entry.path)
                if wanted in (path / "environ").read_bytes():
                    state = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        found.add(int(entry.name))
    return found


def command_line(pid: int) -> str:
    """What a process was started with, in part."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:200].decode(errors="replace")
    except OSError:
        return "gone"


def send(number: signal.Signals, pids: set[int]) -> None:
    """Send processes a signal; where it kills all of them, at the same time."""
    for each in (signal.SIGSTOP, number) if number == signal.SIGKILL and len(pids) > 1 else (number,):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, each)
