"""Commands in places that are no developer's desk: read-only, full, closed, foreign, small."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from tests.torture.part import Part, Trial
from tests.torture.parts._commands import EXPERIMENT, TEACHER

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "examples" / "digits" / "model.pt"
LIMIT_S = 300
BAD = ("Traceback", "internal error", "Exception ignored", "Warning:", "RuntimeWarning")
OLD_CLOCK = """
import time
_localtime, _gmtime = time.localtime, time.gmtime
time.localtime = lambda seconds=None: _localtime(0 if seconds is None else seconds)
time.gmtime = lambda seconds=None: _gmtime(0 if seconds is None else seconds)
"""


@dataclass(frozen=True)
class Place:
    """Where a command runs: its environment, and what a shell does before it, in mounts of its own.

    ``silent``: what is printed goes nowhere. ``root``: it needs mounts, or to give up a capability.
    """

    name: str
    before: str = ":"
    environment: dict[str, str | None] = field(default_factory=dict)
    streams: str = ""
    root: bool = False

    @property
    def silent(self) -> bool:
        return ">" in self.streams


_READ_ONLY = (
    "mount --make-rprivate / && mount --bind {scratch} {scratch} && "
    "mount --bind {root} {root} && mount -o remount,bind,ro {root}"
)
_NOBODY = "mount --bind /dev/null /etc/passwd"
_SHM = "mount -t tmpfs none /dev/shm -o "
_SMALL = "mount -t tmpfs none /mnt -o size="
_BARE = (
    'exec setpriv --bounding-set=-dac_override,-dac_read_search,-sys_resource,-sys_admin --inh-caps=-all "$@"'
)
_UNNAMED: dict[str, str | None] = {"HOME": None, "USER": None, "LOGNAME": None}
_POSIX: dict[str, str | None] = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def _with(name: str, value: str) -> Place:
    return Place(f"{name}={value}", environment={name: value})


PLACES = (
    Place("at a desk"),
    Place("read-only, HOME unwritable", _READ_ONLY, {"HOME": "/proc"}, root=True),
    Place("read-only, no HOME", f"{_READ_ONLY} && {_NOBODY}", _UNNAMED, root=True),
    Place("read-only, full cache", f"{_READ_ONLY} && {_SMALL}8k", {"HOME": "/mnt"}, root=True),
    Place("shared memory of 64 KiB", f"{_SHM}size=64k", root=True),
    Place("shared memory read-only", f"{_SHM}ro", root=True),
    Place("stdout closed", streams=">&-"),
    Place("stdout full", streams=">/dev/full"),
    Place("stderr closed", streams="2>&-"),
    Place("stderr full", streams="2>/dev/full"),
    Place("stdin closed", streams="<&-"),
    Place("all streams closed", streams="<&- >&- 2>&-"),
    *(_with("COLUMNS", columns) for columns in ("0", "1", "999999999", "wide")),
    _with("TERM", "dumb"),
    Place("no TERM", environment={"TERM": None}),
    _with("LC_ALL", "C"),
    Place("LC_ALL=POSIX, not UTF-8", environment=_POSIX),
    _with("LC_ALL", "tr_TR.UTF-8"),
    _with("PYTHONIOENCODING", "latin-1"),
    _with("PYTHONIOENCODING", "ascii:strict"),
    Place("deleted working folder", "mkdir {scratch}/gone && cd {scratch}/gone && rmdir {scratch}/gone"),
    Place("unreadable working folder", "mkdir -m 0 {scratch}/no; cd {scratch}/no; " + _BARE, root=True),
    _with("TMPDIR", "/nowhere"),
    Place("TMPDIR full", f"{_SMALL}4k && (yes >/mnt/full; true) 2>/dev/null", {"TMPDIR": "/mnt"}, root=True),
    Place("umask 777", f"umask 777; {_BARE}", root=True),
    _with("PYTHONOPTIMIZE", "2"),
    _with("PYTHONWARNINGS", "error"),
    _with("PYTHONHASHSEED", "4294967295"),
    Place("64 open files", "ulimit -n 64"),
    Place("no more processes", f"ulimit -u 1; {_BARE}", root=True),
    Place("clock at 1970", f"echo '{OLD_CLOCK}' >{{scratch}}/sitecustomize.py", {"PYTHONPATH": "{scratch}"}),
    _with("TZ", "Antarctica/Troll"),
    Place("no passwd entry", _NOBODY, _UNNAMED, root=True),
)
_SNE = str(Path(sys.executable).with_name("sne"))
_RUN = ["compile", str(MODEL), "--samples", "3", "--out", "{scratch}/out", "--target"]
COMMANDS = {
    "report": ["report", "{made}"],
    "inspect": ["inspect", str(MODEL)],
    "map": ["map", str(MODEL)],
    "validate": ["validate"],
    "init": ["init", "--data", "digits", "--out", "{scratch}/new.toml"],
    "compile --target loihi": [*_RUN, "loihi"],
    "compile --target norse": [*_RUN, "norse"],
    "compile --target lava": [*_RUN, "lava"],
    "compile --workers 2": [*_RUN, "loihi", "--workers", "2"],
    "report --html": ["report", "{made}", "--html", "--out", "{scratch}/page.html"],
    "explore": ["explore", str(MODEL), "--samples", "40", "--out", "{scratch}/explored.json"],
}


@dataclass(frozen=True)
class Several:
    """Two commands at once, or the second as soon as the first is killed.

    ``same``: files with the bytes that they have after one of the commands alone. ``free``: neither may be
    refused.
    """

    name: str
    lines: tuple[str, str]
    same: tuple[str, ...]
    free: bool = False
    killed: bool = False


_COMPILED = (
    f"compile {MODEL} --samples 40 --target loihi --out",
    f"compile {MODEL} --samples 30 --target norse --out",
)
_TRAINED, _EXPLORED = (
    "train e.toml --out out --seed",
    "--target-accuracy 1% --write m.pt --out p.json --samples",
)
_IN_ONE = (f"{_COMPILED[0]} out", f"{_COMPILED[1]} out")
_FILES = ("out/predictions.npz",)
SEVERAL = (
    Several("compile twice", _IN_ONE, _FILES),
    Several("compile, the first killed", _IN_ONE, _FILES, free=True, killed=True),
    Several("compile in two folders", (_IN_ONE[0], f"{_COMPILED[1]} other"), _FILES, free=True),
    Several("train twice", (f"{_TRAINED} 1", f"{_TRAINED} 2"), ("out/model.pt", "out/training.jsonl")),
    Several(
        "explore twice", (f"explore {MODEL} {_EXPLORED} 40", f"explore {MODEL} {_EXPLORED} 30"), ("m.pt",)
    ),
)
LATER_S = 2.0
"""Until when the second one starts."""
CASES = [*product(PLACES, COMMANDS), *((each, "") for each in SEVERAL)]
_STRIDE = 35
"""Trials that follow each other are of other places and commands; it divides no number of cases here."""


def _missing() -> str:
    return "" if sys.platform == "linux" else "the places are those of Linux"


def _trial(index: int, seed: int, made: Path) -> Trial:
    place, command = CASES[(index * _STRIDE + seed) % len(CASES)]
    if isinstance(place, Several):
        return _several(place, index, seed)
    if place.root and not _may_mount():
        return Trial(place.name, index, ended="left out: needs root")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        try:
            done = _done(place, COMMANDS[command], {"scratch": name, "made": str(made), "root": str(ROOT)})
        except subprocess.TimeoutExpired:
            return Trial(place.name, index, f"sne {command}: nothing after {LIMIT_S} s")
        left = sorted(each.name for each in Path(name).glob("~*"))
    found = f"left {left}" if left else _judged(place, done.returncode, done.stdout, done.stderr)
    figures = {"seconds": round(time.monotonic() - start, 1)}
    if found:
        return Trial(place.name, index, f"sne {command}: {found}", figures)
    return Trial(place.name, index, "", figures, "refused" if done.returncode else "result")


def _several(case: Several, index: int, seed: int) -> Trial:
    dice, name, start = random.Random(f"{seed} {index}"), "several commands in one folder", time.monotonic()
    with tempfile.TemporaryDirectory() as at_once, tempfile.TemporaryDirectory() as alone:
        commands = []
        for line in case.lines:
            commands.append(_started(line, Path(at_once)))
            time.sleep(dice.random() * LATER_S)
            if case.killed and line == case.lines[0]:
                killed = commands.pop()
                killed.kill()
                killed.communicate()
        said = [command.communicate(timeout=LIMIT_S)[1] for command in commands]
        ended = [command.returncode for command in commands]
        lines = case.lines[-len(commands) :]
        won = [line for line, status in zip(lines, ended, strict=True) if status == 0]
        told = [err for err, status in zip(said, ended, strict=True) if status]
        if not won or (case.free and told) or not all(map(_names_the_other, told)):
            return Trial(name, index, f"{case.name}: status {ended}: {' | '.join(said)[:300]}")
        found = []
        for line in won:  # the last of both, where they were one after the other
            if _started(line, Path(alone)).wait(LIMIT_S):
                return Trial(name, index, f"{case.name}: {line} fails alone")
            found = [each for each in case.same if _differs(each, Path(at_once), Path(alone))]
            if not found:
                break
        left = [str(path) for path in Path(at_once).rglob(".sne-*")]
    figures = {"seconds": round(time.monotonic() - start, 1)}
    if found or left:
        return Trial(
            name, index, f"{case.name}: not the files of one command: {found}, left: {left}", figures
        )
    return Trial(name, index, "", figures, "refused" if told else "result")


def _started(line: str, folder: Path) -> subprocess.Popen[str]:
    if not (folder / "e.toml").exists():
        (folder / "e.toml").write_text(EXPERIMENT.format(beside=1, teacher=TEACHER))
    none, pipe = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(
        [_SNE, *line.split()], cwd=folder, stdin=none, stdout=none, stderr=pipe, text=True
    )


def _names_the_other(error: str) -> bool:
    return " is in use by process " in error and error.startswith("error: ") and error.count("\n") == 1


def _differs(name: str, one: Path, other: Path) -> bool:
    return (one / name).read_bytes() != (other / name).read_bytes()


def _done(place: Place, command: Sequence[str], names: dict[str, str]) -> subprocess.CompletedProcess[str]:
    def filled(text: str) -> str:
        for key, value in names.items():
            text = text.replace("{" + key + "}", value)
        return text

    environment = {key: value for key, value in os.environ.items() if key not in place.environment}
    given = {key: filled(value) for key, value in place.environment.items() if value is not None}
    shell = ["unshare", "--mount"] if place.root else []
    before = filled(place.before)
    if place.streams or not before.startswith("exec"):
        before += f'; exec "$@" {place.streams}'
    return subprocess.run(
        [*shell, "bash", "-c", before, "bash", _SNE, *map(filled, command)],
        env={**environment, **given},
        cwd=names["scratch"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _judged(place: Place, status: int, out: str, err: str) -> str:
    """What was not as promised."""
    bad = [line for line in (out + "\n" + err).splitlines() if any(word in line for word in BAD)]
    if bad or status not in (0, 2) or (status and place == PLACES[0]):
        return f"status {status}, {' | '.join((bad or err.splitlines())[-3:])[:300]}"
    if status == 0 and not (out or err or place.silent):
        return "status 0, and nothing is printed"
    lines = err.strip().splitlines()
    told = len(lines) == 1 and lines[0].startswith("error: ")
    if status == 2 and not told and "2>" not in place.streams:
        return f"status 2 with {len(lines)} lines: {' | '.join(lines[-3:])[:300]}"
    return f"status 2, and on stdout {out[:100]!r}" if status == 2 and out else ""


def _may_mount() -> bool:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        command = [_SNE, *(each.replace("{scratch}/out", str(made)) for each in _RUN), "loihi"]
        subprocess.run(command, check=True, capture_output=True, cwd=name)
        for index in indices:
            yield _trial(index, seed, made)


PART = Part(
    name="places",
    promise="In a place that is read-only, full, small, closed or foreign a command works, or ends with "
    "status 2 and one line that says what is missing. A folder that another command works in ends with the "
    "files of one of both; the other is refused.",
    how="Every command in every place: mounts of its own that are read-only or full, streams that are closed "
    "or full, other locales, widths and clocks, limits of open files and processes, a user without a name "
    "or home. Two commands at once in one folder, or one as soon as another is killed there; what they leave "
    "is compared with what one leaves alone.",
    run=_run,
    short=3,
    full=len(CASES),
    missing=_missing,
)
