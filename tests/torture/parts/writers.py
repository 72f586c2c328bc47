"""Scripts and commands that write, stopped at any moment: the library installs no handlers in a script."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.torture.part import Part, Trial

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
CASES = [("script", how) for how in SIGNALS] + [("command", how) for how in SIGNALS[1:]]
LAST = "0"
NAMES = ("a", "b/c", LAST)
SIZE = 50_000
LONGEST_S = 0.02


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    for index in indices:
        dice = random.Random(f"{seed} {index}")
        who, how = CASES[index % len(CASES)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _write(folder, 0)
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                _write_on(folder, who)
            while _version(folder) == 0:  # it is at work
                time.sleep(0.0005)
            time.sleep(dice.random() * LONGEST_S)
            os.kill(pid, how)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            ended = {"script": (-how, 70), "command": (128 + how,)}[who]
            found = _wrong(folder) if status in ended else f"status {status}"
            left = [path.name for path in folder.rglob(".*")]
            if left and who == "command":
                found = found or f"left: {left}"
            _write(folder, 1)
            if hidden := [path.name for path in folder.rglob(".*")]:
                found = found or f"still there after the next write: {hidden}"
            yield Trial(
                f"{who}, {how.name}", index, found, ended="" if found else "swept" if left else "nothing left"
            )


def _write(folder: Path, version: int) -> None:
    from sne_deploy.files import staged_folder, write_whole

    with staged_folder(folder, last=(LAST,)) as stage:
        (stage / "b").mkdir()
        for name in NAMES:
            write_whole(stage / name, version.to_bytes(4, "little") * SIZE)
    write_whole(folder / "single", version.to_bytes(4, "little") * SIZE)


def _write_on(folder: Path, who: str) -> None:
    from sne_deploy.stopping import end_at_signals

    version = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if who == "command":
            end_at_signals()
        while True:
            _write(folder, version)
            version += 1
    finally:
        os._exit(70)


def _version(folder: Path) -> int:
    return int.from_bytes((folder / "single").read_bytes()[:4], "little")


def _wrong(folder: Path) -> str:
    """What is no whole file of one version; or an older one than what gets its place last."""
    versions = {}
    for name in (*NAMES, "single"):
        data = (folder / name).read_bytes()
        if data != data[:4] * SIZE:
            return f"{name} is not whole: {len(data)} bytes"
        versions[name] = int.from_bytes(data[:4], "little")
    if min(versions[name] for name in NAMES) < versions[LAST]:
        return f"the last has its place before the others: {versions}"
    return ""


PART = Part(
    name="writers",
    promise="A script or a command that writes is stopped at any moment, by any signal: every file is whole, "
    "of the old or of the new content. A command that can hear the signal leaves nothing else; what another "
    "leaves is gone after the next write to the folder.",
    how=f"A process writes a folder of {len(NAMES)} files, and a single one, over and over, and gets one of "
    f"{', '.join(how.name for how in SIGNALS)} within {1000 * LONGEST_S:.0f} ms; then everything is read, "
    "and written once more.",
    run=_run,
    short=42,
    full=2100,
)
