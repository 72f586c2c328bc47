"""Removing what a killed simulation leaves: processes, shared-memory blocks, its folder.

What is left where everything was killed at once, the supervisor included, the next supervisor removes.
Neither NumPy nor Lava: the supervisor is light.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from pathlib import Path

from sne_deploy.leftovers import take_over

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux keeps shared memory


def remove_files(token: str, folder: str) -> None:
    """Remove the shared-memory blocks and semaphores named with ``token``, and the job's folder."""
    if SHARED_MEMORY.is_dir():
        for path in SHARED_MEMORY.iterdir():  # no pattern: Python would remember one of each job
            if path.name.removeprefix("sem.").startswith(token):
                path.unlink(missing_ok=True)
    if Path(folder).is_dir():
        shutil.rmtree(folder, ignore_errors=True)  # another cleaner may be removing it at the same time


def folder_name(token: str) -> str:
    """The name of a job's folder, which is locked while one of its processes lives."""
    return f"sne-lava-{token}"


_NAME = re.compile(folder_name("(sne[0-9a-f]{12})"))


def sweep(parent: Path) -> None:
    """Remove the files of jobs whose processes were all killed."""
    for path in parent.glob(folder_name("*")):
        found = _NAME.fullmatch(path.name)
        lock = take_over(path) if found else None
        if found and lock is not None:
            remove_files(found[1], str(path))
            os.close(lock)


def kill_group(group: int) -> None:
    """Kill a whole process group; nothing happens where it is already gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def wait_group(group: int, seconds: float) -> bool:
    """Wait until no live process is left in a group; True when so."""
    end = time.monotonic() + seconds
    while group_alive(group):
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def group_alive(group: int) -> bool:
    """True while a process of the group exists that is not a zombie."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] not in "ZX":
                    return True
    return False
