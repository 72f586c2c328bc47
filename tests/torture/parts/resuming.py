"""Long runs that are killed again and again, until one comes through."""

from __future__ import annotations

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
CASES = {
    "compile": (f"compile {MODEL} --target loihi --samples 60 --out out", "out/report.json", "out/work"),
    "compile, norse": (
        f"compile {MODEL} --target norse --samples 40 --out out",
        "out/report.json",
        "out/work",
    ),
    "explore": (f"explore {MODEL} --samples 40 --bits 4,8 --out p.json", "p.json", "p.json.work"),
    "compile, Lava": (f"compile {MODEL} --target lava --samples 9 --out out", "out/report.json", "out/work"),
}
KEPT_AT_ONCE = """\
import sys
from sne_deploy import cli
from sne_deploy.runtime import kept, slices
kept.KEEP_S, kept.FIRST_SAMPLES, kept.GOAL_S, slices.SLICE_BYTES = 0.0, 3, 1.0, 2**16
sys.argv[0] = "sne"
sys.exit(cli.main())
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
        process = _started(name, folder)
        try:
            process.wait(dice.uniform(0.3, 1.0) * seconds)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(dice.choice(SIGNALS))
            process.communicate()
            kills += 1
    process = _started(name, folder)
    stderr = process.communicate(timeout=WAIT_S)[1]
    if process.returncode != 0:
        return f"the same command ended with status {process.returncode}: {stderr[-300:]!r}", kills
    if _report(folder / report) != whole:
        return "the report is another one", kills
    return (f"{work} is still there" if (folder / work).exists() else ""), kills


def _started(name: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", KEPT_AT_ONCE, *CASES[name][0].split()],
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
    """What is written, without how long it took."""
    document = json.loads(path.read_bytes())
    document.get("provenance", document)["wall_s"] = None
    return json.dumps(document)


PART = Part(
    name="resuming",
    promise="A run that is killed goes on with what was kept when the same command is given again, and its "
    "report is that of an undisturbed one in all but its time.",
    how="`sne compile` on three targets and `sne explore`, with slices of a second, are killed up to three "
    "times in a row by SIGKILL, SIGTERM, SIGINT or SIGHUP at random moments, then left alone; the report is "
    "compared with an undisturbed one's, text for text, and the work folder must be gone.",
    run=run,
    short=1,
    full=60,
)
