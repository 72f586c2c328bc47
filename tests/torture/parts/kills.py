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
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.torture.part import Part, Trial

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)
SHARED = Path("/dev/shm")  # noqa: S108  where Linux keeps it
MARK = "SNE_TORTURE_TRIAL"
CACHE = "torchinductor_"
"""PyTorch's own, which it keeps on purpose."""
LATER_S = 1.0
ATTEMPTS = 8
WAIT_S = 300.0
_CLONE_NEWNS = 0x00020000  # linux/sched.h
EXPERIMENT = """
name = "tiny"
threads = 1
side_by_side = {beside}
data = {{source = "digits", validation = 40, train_samples = 100}}
teacher = {teacher}
[students]
count = 2
timesteps = 2
schedule = {{epochs = 12}}
layers = [{{kind = "Flatten"}}, {{kind = "Linear", out = 8}}, {{kind = "LIFBoxCell"}}, {{kind = "Linear"}},
          {{kind = "LIBoxCell"}}]
"""
TEACHER = "{architecture = 'mlp', width = 8, features = 8, schedule = {epochs = 6}}"


@dataclass(frozen=True)
class Command:
    """What is killed, in a folder of its own.

    Attributes
    ----------
    name : str
    line : str
        Its arguments.
    children : bool
        Whether it starts processes: it is at work only while there is one.
    same : tuple of str
        Files that have the same bytes as those of an undisturbed run, once it was run again.
    experiment : str
        What stands in ``e.toml``.
    """

    name: str
    line: str
    children: bool = True
    same: tuple[str, ...] = ()
    experiment: str = ""


_MODEL = DIGITS / "model.pt"
_ONNX = f"{{onnx = '{DIGITS / 'teacher.onnx'}'}}"
_KEPT = ("out/model.pt", "out/training.jsonl")
_COUNTED = ("out/predictions.npz",)
COMMANDS = (
    Command(
        "compile --workers",
        f"sne-compile {_MODEL} --target loihi --samples 40 --workers 2 --out out",
        same=_COUNTED,
    ),
    Command(
        "compile --teacher",
        f"sne-compile {_MODEL} --target loihi --samples 40 --teacher {DIGITS / 'teacher.onnx'} --out out",
        same=_COUNTED,
    ),
    Command("compile, Lava", f"sne-compile {_MODEL} --target lava --samples 6 --out out", same=_COUNTED),
    Command(
        "train, side by side",
        "sne train e.toml --out out",
        same=_KEPT,
        experiment=EXPERIMENT.format(beside=2, teacher=TEACHER),
    ),
    Command(
        "train", "sne train e.toml --out out", False, _KEPT, EXPERIMENT.format(beside=1, teacher=TEACHER)
    ),
    Command(
        "train, ONNX",
        "sne train e.toml --out out",
        same=_KEPT,
        experiment=EXPERIMENT.format(beside=1, teacher=_ONNX),
    ),
    Command("bench, Lava", f"sne bench {_MODEL} --target lava --samples 2 --rounds 1 --out b.json"),
    Command(
        "explore",
        f"sne explore {_MODEL} --workers 2 --target-accuracy 80% --out p.json --write m.pt",
        same=("m.pt",),
    ),
    Command(
        "compile",
        f"sne-compile {_MODEL} --target loihi --samples 40 --out out --save kept.sne",
        False,
        _COUNTED,
    ),
    Command("inspect", f"sne inspect {_MODEL} --svg pictures", False),
    Command("init", "sne init --data digits --out e.toml", False, ("e.toml",)),
)


def run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    """One command, one signal, one moment each."""
    _shared_memory_of_our_own()
    for index in indices:
        command = COMMANDS[index % len(COMMANDS)]
        number = SIGNALS[index // len(COMMANDS) % len(SIGNALS)]
        dice = random.Random(f"{seed} {index}")
        began = time.monotonic()
        found = ""
        for _ in range(ATTEMPTS):
            with tempfile.TemporaryDirectory() as folder:
                told = _killed(command, number, Path(folder), dice)
            if told is not None:
                found = told
                break
        else:
            found = f"was never hit at work in {ATTEMPTS} attempts"
        seconds = round(time.monotonic() - began, 1)
        yield Trial(f"{command.name}, {number.name}", index, found, {"seconds": seconds})


def _killed(command: Command, number: signal.Signals, folder: Path, dice: random.Random) -> str | None:
    """Kill it once: what was not as promised, or nothing; None where it was not at work when it was hit."""
    before = _shared()
    moment = dice.random() * _whole(command)[0]
    process = _started(command, folder)
    try:
        time.sleep(moment)
        while command.children and process.poll() is None and not _marked(folder) - {process.pid}:
            time.sleep(0.002)
        seen = _marked(folder)
        process.send_signal(number)
        stderr = process.communicate(timeout=WAIT_S)[1].decode(errors="replace")
        if process.returncode not in (128 + number, -number) or (command.children and len(seen) < 2):
            early = process.returncode == 0 or len(seen) < 2
            return None if early else f"status {process.returncode}: {stderr}"
        time.sleep(LATER_S)
        wrong = _left(folder, before, number)
        if number != signal.SIGKILL and process.returncode > 0:
            last = stderr.strip().splitlines()[-1:] or [""]
            if "Traceback" in stderr or not last[0].startswith("interrupted"):
                wrong.append(f"it said {stderr[-300:]!r}")
        if number == signal.SIGKILL or command.name.startswith("train"):
            wrong += _again(command, folder, before)
        return "; ".join(wrong)
    finally:
        process.kill()
        process.communicate()
        for pid in _marked(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _started(command: Command, folder: Path) -> subprocess.Popen[bytes]:
    work, temporary = folder / "work", folder / "tmp"
    work.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    if command.experiment:
        (work / "e.toml").write_text(command.experiment)
    name, *arguments = command.line.split()
    return subprocess.Popen(
        [str(Path(sysconfig.get_path("scripts"), name)), *arguments],
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, MARK: str(folder), "TMPDIR": str(temporary)},
        start_new_session=True,
    )


@cache
def _whole(command: Command) -> tuple[float, dict[str, bytes]]:
    """Seconds of an undisturbed run, and what it writes."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = _started(command, Path(folder))
        stderr = process.communicate(timeout=WAIT_S)[1]
        if process.returncode != 0:
            raise RuntimeError(f"{command.line}: {stderr.decode(errors='replace')}")
        seconds = time.monotonic() - began
        return seconds, {name: Path(folder, "work", name).read_bytes() for name in command.same}


def _again(command: Command, folder: Path, before: set[str]) -> list[str]:
    """Run the same command to its end: what it goes on from, and what of the killed one is left then."""
    process = _started(command if command.name != "init" else _forced(command), folder)
    stderr = process.communicate(timeout=WAIT_S)[1].decode(errors="replace")
    wrong = [] if process.returncode == 0 else [f"run again, it ended with {process.returncode}: {stderr}"]
    for name, whole in _whole(command)[1].items():
        path = folder / "work" / name
        if not path.exists() or path.read_bytes() != whole:
            wrong.append(f"run again, {name} differs from the undisturbed run's")
    time.sleep(0.2)
    return wrong + _left(folder, before, None)


def _forced(command: Command) -> Command:
    return Command(command.name, command.line + " --force", command.children, command.same)


def _left(folder: Path, before: set[str], number: signal.Signals | None) -> list[str]:
    """Processes, shared memory, half-written files; after a SIGKILL processes, until the next command."""
    wrong = [f"process {pid} lives: {_line(pid)}" for pid in _marked(folder)]
    if number == signal.SIGKILL:
        return wrong
    wrong += [f"{SHARED / name} is there" for name in sorted(_shared() - before)]
    there = [path.name for path in (folder / "tmp").iterdir() if not path.name.startswith(CACHE)]
    wrong += [f"temporary {name} is there" for name in there]
    for path in (folder / "work").rglob("*"):
        if path.name.endswith((".tmp", ".part")) or path.name.startswith(".sne-"):
            wrong.append(f"{path.relative_to(folder)} is there")
        elif path.suffix == ".json":
            try:
                json.loads(path.read_bytes())
            except ValueError:
                wrong.append(f"{path.name} is not whole")
    return wrong


def _marked(folder: Path) -> set[int]:
    """The living processes of a trial, however they came to be: all have its temporary folder."""
    wanted, found = os.fsencode(str(folder)), set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                path = Path(entry.path)
                if wanted in (path / "environ").read_bytes():
                    state = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        found.add(int(entry.name))
    return found


def _line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:200].decode(errors="replace")
    except OSError:
        return "gone"


def _shared() -> set[str]:
    return {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()


@cache
def _shared_memory_of_our_own() -> None:
    """Where root may, let this process and its children have a /dev/shm that nobody else writes to."""
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
        return
    for arguments in (["--make-rprivate", "/"], ["-t", "tmpfs", "tmpfs", str(SHARED)]):
        subprocess.run(["mount", *arguments], check=True)


def _missing() -> str:
    if not sys.platform.startswith("linux"):
        return "finds processes in /proc, which Linux alone has"
    return "" if shutil.which("mount") else "mount is not installed"


PART = Part(
    name="kills",
    promise="Whatever kills a command and whenever, no process, no shared memory, no semaphore and no "
    "half-written file is left, and what goes on later ends with the same bits.",
    how="Every command that writes or starts processes is hit by SIGTERM, SIGHUP, SIGINT or SIGKILL at a "
    "random moment of its run at which it is at work with its processes. A second later (what a SIGKILL left "
    "on disk: after the next command) everything that has its mark is looked for; after a SIGKILL, and of "
    "trainings always, the command is run again; its files are compared with those of an undisturbed run.",
    run=run,
    short=1,
    full=500,
    unit="kills",
    missing=_missing,
)
