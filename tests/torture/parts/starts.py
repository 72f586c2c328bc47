"""Ctrl-C while a command starts: before, in, and after its first imports."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.torture.part import Part, Trial

MODEL = Path(__file__).parents[3] / "examples" / "digits" / "model.pt"
SCRIPT = """\
# -*- coding: utf-8 -*-
import re
import sys
from sne_deploy.start import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""
"""What pip makes of an entry point."""
UNTIL_MS, EACH_MS = 100, 20
WORD, SILENT, PYTHONS = "one word", "without a word", "a traceback of Python's own start"
WAIT_S = 120.0


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    """Moments one after the other, the first millisecond first; ``seed`` moves them by a part of one."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "sne"
        script.write_text(SCRIPT)
        for index in indices:
            moment = (index + seed % 10 / 10) % UNTIL_MS
            first = int(moment // EACH_MS) * EACH_MS
            found, ended = _stopped(script, moment / 1e3)
            yield Trial(f"{first} to {first + EACH_MS} ms", index, found, ended=ended)


def _stopped(script: Path, after_s: float) -> tuple[str, str]:
    """What is wrong, and how the command ended."""
    command = [sys.executable, str(script), "compile", str(MODEL), "--samples", "100"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=script.parent
    ) as process:
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=WAIT_S)[1]
    status = process.returncode
    if (status, stderr) == (128 + signal.SIGINT, "interrupted\n"):
        return "", WORD
    if (status, stderr) == (-signal.SIGINT, ""):
        return "", SILENT
    lines = stderr.splitlines()
    ours = [line.strip() for line in lines if line.startswith("  File") and "/sne_deploy/" in line]
    if all("start.py" in line for line in ours) and ("Traceback" in stderr or "Fatal Python" in stderr):
        return "", PYTHONS  # also where Python hears only in our first line of a signal before it
    return f"status {status}: {' | '.join(ours or lines)[-300:]}", ""


PART = Part(
    name="starts",
    promise="A command that gets Ctrl-C while it starts ends at once, with one word or none. Until it "
    "reaches the first line of this project, what happens is Python's own: it may print a traceback.",
    how=f"`sne compile`, by the script that pip makes, gets SIGINT within {UNTIL_MS} ms of its start, one "
    "moment after the other. A traceback that names a file of this project is a failure; one of Python's own "
    "start is counted.",
    run=_run,
    found=(
        "The package imported `typing` and `__future__` before its first line, which 33 of 200 trials named.",
        "What is left is before that line, where nothing of a package runs but hooks of Python's start.",
    ),
    short=10,
    full=300,
)
