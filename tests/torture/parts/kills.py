"""Commands that are killed at random moments, and what is left of them a second later."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from tests.torture import watch
from tests.torture.part import Part, Trial
from tests.torture.parts import _commands
from tests.torture.parts._commands import COMMANDS, Command, start

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)
TO_ALL = (signal.SIGTERM, signal.SIGKILL)
"""Half of these go to all processes of a command, as from a service manager or for want of memory."""
SHARED = Path("/dev/shm")  # noqa: S108  where Linux keeps it
CACHE = "torchinductor_"
"""PyTorch's own, which it keeps on purpose."""
LATER_S = 1.0
POLL_S = 0.02
ATTEMPTS = 40
ANEW = 8
"""After so many attempts in vain an undisturbed run is looked at anew: the machine may be busier now."""
WAIT_S = 300.0
SIDE_BY_SIDE = 5
"""Trials that are made at once, where each can have shared memory of its own."""
_CLONE_NEWNS = 0x00020000  # linux/sched.h


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: how far it was whenever it was seen at work, in processor seconds; its files."""

    moments: Sequence[float]
    files: dict[str, bytes]


class Trials:
    """Kills of commands that read from a folder."""

    def __init__(self, inputs: Path, seed: int) -> None:
        self._inputs, self._seed = inputs, seed
        self._wholes: dict[str, Whole] = {}
        self._locks = {command.name: Lock() for command in COMMANDS}

    def trial(self, index: int) -> Trial:
        """One command, one signal, one moment."""
        command = COMMANDS[index % len(COMMANDS)]
        number = SIGNALS[index // len(COMMANDS) % len(SIGNALS)]
        dice = random.Random(f"{self._seed} {index}")
        everyone = command.children and number in TO_ALL and dice.random() < 0.5
        began = time.monotonic()
        found, ended = f"was never hit at work in {ATTEMPTS} attempts", ""
        for attempt in range(ATTEMPTS):
            whole = self._whole(command, anew=attempt > 0 and attempt % ANEW == 0)
            with tempfile.TemporaryDirectory() as folder:
                told = _Kill(command, number, everyone, whole, self._inputs, Path(folder)).made(dice)
            if told is not None:
                found, ended = told
                break
        seconds = round(time.monotonic() - began, 1)
        return Trial(
            command.name,
            index,
            found,
            {"seconds": seconds},
            f"{number.name}{' to all' if everyone else ''}{ended}",
        )

    def _whole(self, command: Command, *, anew: bool) -> Whole:
        with self._locks[command.name]:
            if anew or command.name not in self._wholes:
                with tempfile.TemporaryDirectory() as folder:
                    self._wholes[command.name] = _undisturbed(command, self._inputs, Path(folder))
            return self._wholes[command.name]


def _undisturbed(command: Command, inputs: Path, folder: Path) -> Whole:
    process, moments = start(command, inputs, folder), []
    while process.poll() is None:
        seconds, living = watch.progress_s(process.pid)
        if _at_work(command, process.pid, living):
            moments.append(seconds)
        time.sleep(POLL_S)
    stderr = process.communicate()[1].decode(errors="replace")
    if process.returncode != 0 or not moments:
        raise RuntimeError(f"{command.line}: status {process.returncode}, {len(moments)} moments: {stderr}")
    return Whole(moments, {name: (folder / "work" / name).read_bytes() for name in command.same})


def _at_work(command: Command, pid: int, living: set[int]) -> bool:
    """Whether it has its processes; one that starts none: whether it has come to the project's own code."""
    return len(living) > 1 if command.children else watch.hears(pid, SIGNALS[1])


class _Kill:
    """One kill of a command in a folder of its own."""

    def __init__(
        self,
        command: Command,
        number: signal.Signals,
        everyone: bool,
        whole: Whole,
        inputs: Path,
        folder: Path,
    ) -> None:
        self._command, self._number, self._everyone, self._whole = command, number, everyone, whole
        self._start = partial(start, command, inputs, folder)
        self._folder, self._before = folder, _shared()

    def made(self, dice: random.Random) -> tuple[str, str] | None:
        """What was not as promised, and what it went on from; None where it was not at work when hit."""
        process = self._start()
        try:
            if not self._hit(process, dice.choice(self._whole.moments), dice.random() * POLL_S):
                return None
            stderr = process.communicate(timeout=WAIT_S)[1].decode(errors="replace")
            if process.returncode == 0:  # its last moment
                return None
            return self._judged(process.returncode, stderr)
        finally:
            process.kill()
            process.communicate()
            for pid in watch.marked(str(self._folder)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _hit(self, process: subprocess.Popen[bytes], moment: float, more_s: float) -> bool:
        """Send the signal when it is so far and at work; whether it was."""
        while process.poll() is None:
            seconds, living = watch.progress_s(process.pid)
            if seconds >= moment and _at_work(self._command, process.pid, living):
                time.sleep(more_s)
                living = watch.progress_s(process.pid)[1]
                watch.send(self._number, living if self._everyone else {process.pid})
                return _at_work(self._command, process.pid, living)
            time.sleep(POLL_S)
        return False

    def _judged(self, status: int, stderr: str) -> tuple[str, str]:
        killed = self._number == signal.SIGKILL
        time.sleep(LATER_S)
        wrong = self._alive() if killed else self._left()
        if status != (-self._number if killed else 128 + self._number):
            wrong.append(f"status {status}: {stderr[-300:]!r}")
        elif not killed and not stderr.strip().splitlines()[-1].startswith("interrupted"):
            wrong.append(f"it said {stderr[-300:]!r}")
        if "Traceback" in stderr:
            wrong.append(f"it said {stderr[-300:]!r}")
        if not killed and not self._command.resumes:
            return "; ".join(wrong), ""
        there = any(path.is_file() and path.name != "e.toml" for path in (self._folder / "work").rglob("*"))
        wrong += self._again()
        return "; ".join(wrong), ", went on" if there else ", began anew"

    def _again(self) -> list[str]:
        """Run the same command to its end: what it goes on from, and what of the killed one is left then."""
        process = self._start(self._command.again)
        stderr = process.communicate(timeout=WAIT_S)[1].decode(errors="replace")
        if process.returncode != 0:
            return [f"run again, it ended with {process.returncode}: {stderr[-300:]!r}"]
        time.sleep(0.2)
        wrong = []
        work = self._folder / "work"
        for name, data in self._whole.files.items():
            if not (work / name).exists() or (work / name).read_bytes() != data:
                wrong.append(f"run again, {name} is not that of the undisturbed run")
        return wrong + self._left()

    def _alive(self) -> list[str]:
        pids = watch.marked(str(self._folder))
        return [f"process {pid} lives: {watch.command_line(pid)}" for pid in pids]

    def _left(self) -> list[str]:
        """Processes, shared memory, files that are not whole, or not those of an undisturbed run."""
        wrong = self._alive()
        wrong += [f"{SHARED / name} is there" for name in sorted(_shared() - self._before)]
        there = [path.name for path in (self._folder / "tmp").iterdir() if not path.name.startswith(CACHE)]
        wrong += [f"temporary {name} is there" for name in there]
        work = self._folder / "work"
        for path in work.rglob("*"):
            if path.is_file() and not self._is_whole(path, str(path.relative_to(work))):
                wrong.append(f"{path.relative_to(work)} is not whole, or another")
        hidden = [path for path in work.rglob("*") if path.name.startswith(".sne-")]
        return wrong + [f"{path.relative_to(work)} is there" for path in hidden]

    def _is_whole(self, path: Path, name: str) -> bool:
        data, wanted = path.read_bytes(), self._whole.files.get(name)
        if name.endswith(".jsonl"):  # grows
            return wanted is None or wanted.startswith(data)
        if wanted is not None:
            return data == wanted
        if name.endswith(".json"):
            with contextlib.suppress(ValueError):
                json.loads(data)
                return True
            return False
        return not name.endswith(".html") or data.rstrip().endswith(b"</html>")


def _shared() -> set[str]:
    return {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()


def _shared_memory_of_our_own() -> bool:
    """Where root may, let this thread and its children have a /dev/shm that nobody else writes to."""
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
        return False
    for arguments in (["--make-rprivate", "/"], ["-t", "tmpfs", "tmpfs", str(SHARED)]):
        subprocess.run(["mount", *arguments], check=True)
    return True


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    count = SIDE_BY_SIDE if _shared_memory_of_our_own() else 1
    with tempfile.TemporaryDirectory() as inputs:
        subprocess.run([sys.executable, "-m", _commands.__name__, inputs], check=True)
        trials = Trials(Path(inputs), seed)
        with ThreadPoolExecutor(count, initializer=_shared_memory_of_our_own) as threads:
            futures = [threads.submit(trials.trial, index) for index in indices]
            try:
                for future in futures:
                    yield future.result()
            finally:
                threads.shutdown(cancel_futures=True)


def _missing() -> str:
    if not sys.platform.startswith("linux"):
        return "finds processes in /proc, which Linux alone has"
    return "" if shutil.which("mount") else "mount is not installed"


PART = Part(
    name="kills",
    promise="Whatever kills a command and whenever, no process, no shared memory, no semaphore and no "
    "half-written file is left, and what goes on later ends with the same bits.",
    how="Every command that writes or starts processes is hit by SIGTERM, SIGHUP, SIGINT or SIGKILL at a "
    "moment drawn evenly from those at which an undisturbed run was at work with its processes; it counts "
    "only where the command still was. Half of the SIGTERMs and SIGKILLs go to all its processes at once. A "
    "second later (what a SIGKILL left on disk: after the next command) everything that has its mark is "
    "looked for. After a SIGKILL, and after any signal where a run can go on (trainings, slices that are "
    "kept), the command is given again, and its files are compared with the undisturbed run's. Up to "
    f"{SIDE_BY_SIDE} at a time, each with a /dev/shm of its own.",
    run=_run,
    short=1,
    full=500,
    missing=_missing,
    found=(
        (
            "Where all processes of a command were told to stop at once, nobody removed Lava's shared "
            "memory: its supervisor now leaves stop signals to the others, and removes it when they are gone."
        ),
        (
            "Where all of them were killed at once, Lava's shared memory and semaphores stayed for good: a "
            "job's folder is locked while one of its processes lives, and the next job on Lava removes what "
            "belongs to a folder that is not."
        ),
        (
            "Students that were trained side by side, and stopped while they wrote their state, left a "
            "hidden folder until the next write: the command removes it before it ends."
        ),
        (
            "A sweeper that had waited for the lock of a folder that another swept meanwhile could take one "
            "made anew by that name: it looks whether it is the same."
        ),
        (
            "All four were found by reading the code, before the kills of this page; all but the last have "
            "tests of their own."
        ),
        (
            "A trial whose command is never hit at work stands as failed, though it promises nothing: one is "
            "on this page. After eight attempts an undisturbed run is looked at anew now."
        ),
    ),
)
