"""Long runs that are killed again and again, until one comes through."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.torture.part import Part, Trial

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "examples" / "digits" / "model.pt"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WORDS = ("interrupted", "interrupted: the same command goes on with what is kept")
FULL = "full disk"
TOLD = ("going on with", "Running the first")
"""What a command says of its work before anything happens to it."""
FULL_BYTES = 512
"""No file may get larger: what would be kept does not fit."""
CASES = {
    "compile": (f"compile {MODEL} --target loihi --samples 60 --out out", "out/report.json", "out/work"),
    "compile, norse": (
        f"compile {MODEL} --target norse --samples 40 --out out",
        "out/report.json",
        "out/work",
    ),
    "explore": (f"explore {MODEL} --samples 40 --bits 4,8 --out p.json", "p.json", "p.json.work"),
    "compile, two processes": (
        f"compile {MODEL} --target loihi --samples 60 --out out --workers 2",
        "out/report.json",
        "out/work",
    ),
    "bench": (
        f"bench {MODEL} --target loihi --target norse --samples 40 --seconds 0.1 --out b.json",
        "b.json",
        "b.json.work",
    ),
    "compile, Lava": (f"compile {MODEL} --target lava --samples 9 --out out", "out/report.json", "out/work"),
}
KEPT_AT_ONCE = """\
import sys
from sne_deploy import start
from sne_deploy.runtime import kept, slices
kept.KEEP_S, kept.FIRST_SAMPLES, kept.GOAL_S, slices.SLICE_BYTES = 0.0, 3, 1.0, 2**16
sys.argv[0] = "sne"
sys.exit(start.main())
"""
"""The command, with slices as small as those of a run of hours are beside the whole."""
MOST_KILLS, WAIT_S = 3, 600.0


def run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    """One command each, killed up to three times."""
    for index in indices:
        name = list(CASES)[index % len(CASES)]
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found, kills = _trial(name, Path(folder), random.Random(f"{seed} {index}"))
        yield Trial(name, index, found, {"kills": kills, "seconds": round(time.monotonic() - began, 1)})


def _trial(name: str, folder: Path, dice: random.Random) -> tuple[str, int]:
    _, report, work = CASES[name]
    seconds, whole = _undisturbed(name)
    kills = 0
    for _ in range(dice.randint(1, MOST_KILLS)):
        harm, moment = dice.choice((*SIGNALS, FULL)), dice.uniform(0.3, 1.0) * seconds
        wrong = _full(name, folder) if harm == FULL else _killed(name, folder, moment, signal.Signals(harm))
        if wrong is None:
            break
        if wrong:
            return wrong, kills
        kills += 1
    process = _started(name, folder)
    stderr = process.communicate(timeout=WAIT_S)[1]
    if process.returncode != 0:
        return f"the same command ended with status {process.returncode}: {stderr[-300:]!r}", kills
    if _report(folder / report) != whole:
        return "the report is another one", kills
    return (f"{work} is still there" if (folder / work).exists() else ""), kills


def _killed(name: str, folder: Path, moment: float, number: signal.Signals) -> str | None:
    """What is wrong with a command that is stopped after so many seconds; None where it ended before."""
    process = _started(name, folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    process.send_signal(number)
    said = process.communicate()[1].decode(errors="replace").splitlines()
    if process.returncode == 0 or any(line.startswith("Written: ") for line in said):
        return None
    lines = [line for line in said if not line.startswith(TOLD)]
    wanted = process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if wanted and (not lines if number == signal.SIGKILL else len(lines) == 1 and lines[0] in WORDS):
        return ""
    return f"{number.name}: status {process.returncode}: {' | '.join(said)[-300:]}"


def _full(name: str, folder: Path) -> str:
    """What is wrong with a command that can keep nothing."""
    process = _started(
        name,
        folder,
        "import resource",
        f"resource.setrlimit(resource.RLIMIT_FSIZE, {FULL_BYTES, FULL_BYTES})",
    )
    lines = process.communicate(timeout=WAIT_S)[1].decode(errors="replace").splitlines()
    errors = [line for line in lines if not line.startswith(TOLD)]
    if process.returncode == 2 and len(errors) == 1 and errors[0].startswith("error: cannot write"):
        return ""
    return f"{FULL}: status {process.returncode}: {' | '.join(lines)[-300:]}"


def _started(name: str, folder: Path, *before: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join((*before, KEPT_AT_ONCE)), *CASES[name][0].split()],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


@cache
def _undisturbed(name: str) -> tuple[float, Any]:
    """Seconds of the command, and its report."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = _started(name, Path(folder))
        stderr = process.communicate(timeout=WAIT_S)[1]
        if process.returncode != 0:
            raise RuntimeError(f"{name}: {stderr.decode(errors='replace')}")
        return time.monotonic() - began, _report(Path(folder) / CASES[name][1])


def _report(path: Path) -> str:
    """What is written, without how long it took; of a benchmark, which has nothing else, its shape."""
    document = json.loads(path.read_bytes())
    if "sittings" in document:
        samples = [(each["target"], sorted(each["us"])) for each in document["targets"]]
        return f"{samples}, {sum(document['sittings'])} of {document['rounds']} rounds"
    document.get("provenance", document)["wall_s"] = None
    return json.dumps(document)


PART = Part(
    name="resuming",
    promise="A run that is killed, or meets a full disk, goes on with what was kept when the same command is "
    "given again, and its report is that of an undisturbed one in all but its time.",
    how="`sne compile` on three targets and in two processes, `sne explore` and `sne bench`, in slices of a "
    "second, are hit up to three times in a row, by SIGKILL, SIGTERM, SIGINT or SIGHUP at random moments or "
    "by a limit that no slice fits into, then left alone. Status and every line on stderr are looked at; the "
    "report is compared with an undisturbed one's, text for text (a benchmark's: its rounds), and the work "
    "folder must be gone.",
    run=run,
    short=1,
    full=60,
)
