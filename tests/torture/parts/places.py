"""Commands in places that are no developer's desk: read-only, full, closed, foreign, small."""

from __future__ import annotations

import os
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
CASES = list(product(PLACES, COMMANDS))
_STRIDE = 35
"""Trials that follow each other are of other places and commands; it divides no number of cases here."""


def _missing() -> str:
    return "" if sys.platform == "linux" else "the places are those of Linux"


def _trial(index: int, seed: int, made: Path) -> Trial:
    place, command = CASES[(index * _STRIDE + seed) % len(CASES)]
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
    "status 2 and one line that says what is missing.",
    how="Every command in every place: mounts of its own that are read-only or full, streams that are closed "
    "or full, other locales, widths and clocks, limits of open files and processes, a user without a name "
    "or home.",
    run=_run,
    short=3,
    full=len(CASES),
    missing=_missing,
)
