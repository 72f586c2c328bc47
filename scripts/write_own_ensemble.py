"""Go the way of docs/own_ensemble.md command by command; keep what they print and how long they take.

The page's own blocks are run, in an empty folder, in order. A mark behind a block is filled:
``<!-- printed -->`` with the time and what the block printed, ``<!-- file: NAME -->`` with a file of its,
``<!-- total -->`` with the times of all; each up to ``<!-- end -->``.

usage: python scripts/write_own_ensemble.py
"""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pages import keep

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own_ensemble.md"
PART = re.compile(
    r"^```(?P<language>python|sh)\n(?P<code>.*?)^```$"
    r"|^<!-- (?P<mark>printed|total|file: \S+) -->\n.*?<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)
SHOWN = 36
"""Lines of an output, at most; the rest is left out, and said to be."""


@dataclass(frozen=True)
class Ran:
    """What a block took and printed."""

    wall_s: float
    processor_s: float
    printed: str


def run(language: str, code: str, folder: Path) -> Ran:
    """Run a block in a process of its own for each command."""
    program = Path(sys.executable).parent
    commands = (
        [[sys.executable, "-c", code]]
        if language == "python"
        else [shlex.split(line) for line in code.replace("\\\n", " ").splitlines()]
    )
    environment = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "COLUMNS": "100"}
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = []
    for command in commands:
        done = subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
        printed.append(done.stdout or "\n".join(done.stderr.splitlines()[-4:]) + "\n")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(time.perf_counter() - started, processor_s, "\n".join(printed))


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds."""
    whole = round(seconds)
    return (
        f"{seconds:.1f} s"
        if seconds < 10
        else f"{whole} s"
        if whole < 120
        else f"{whole // 60} min {whole % 60} s"
    )


def shortened(text: str) -> str:
    """The first lines, without paths of the folder that it ran in."""
    lines = text.rstrip().splitlines()
    rest = len(lines) - SHOWN
    return "\n".join([*lines[:SHOWN], f"... and {rest} lines more"] if rest > 0 else lines)


def page(text: str) -> str:
    """The page with every mark filled."""
    ran: list[Ran] = []
    with tempfile.TemporaryDirectory() as folder:

        def filled(found: re.Match[str]) -> str:
            mark = found["mark"]
            if mark is None:
                ran.append(run(found["language"], found["code"], Path(folder)))
                return found[0]
            if mark == "total":
                return found[0]
            if mark == "printed":
                took = f"{duration(ran[-1].wall_s)}, {duration(ran[-1].processor_s)} of processor time:"
                made = f"{took}\n\n```text\n{shortened(ran[-1].printed)}\n```"
            else:
                name = mark.removeprefix("file: ")
                made = f"```toml\n{(Path(folder) / name).read_text('utf-8').rstrip()}\n```"
            return f"<!-- {mark} -->\n\n{made}\n\n<!-- end -->"

        text = PART.sub(filled, text)
    wall, processor = (sum(getattr(each, name) for each in ran) for name in ("wall_s", "processor_s"))
    total = (
        f"All commands of this page together took {duration(wall)} on two cores, "
        f"{duration(processor)} of processor time."
    )
    return re.sub(
        r"<!-- total -->\n.*?<!-- end -->",
        lambda _: f"<!-- total -->\n\n{total}\n\n<!-- end -->",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    raise SystemExit(keep(PAGE, page(PAGE.read_text("utf-8"))))
