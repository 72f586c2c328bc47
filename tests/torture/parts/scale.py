"""Networks and data of every size, until there is no memory for them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sne_deploy.memory import available_bytes
from tests.torture.part import Figure, Part, Trial

AXES = {
    "steps": (1, 1_000, 10_000, 100_000, 1_000_000),
    "weights": (100_000, 1_000_000, 10_000_000, 100_000_000, 200_000_000),
    "students": (1, 10, 100, 1_000),
    "samples": (1_000, 100_000, 1_000_000, 10_000_000),
}
ENDS = {"steps, wide": 1_000_000, "weights": 400_000_000, "samples, all": 10_000_000}
"""What is refused where the address space is ``LIMIT``."""
LIMIT = 6 * 2**30
STEPS = [(axis, *pair) for axis, sizes in AXES.items() for pair in pairwise(sizes)]
TRIALS: list[tuple[str, int, int]] = sorted(
    [*STEPS, *((axis, 0, size) for axis, size in ENDS.items())], key=lambda each: each[2]
)
"""Axis, the size before and the size; of an end, no size before. The small ones first."""
SLACK, SLACK_S, SLACK_MIB = 2.0, 2.0, 300
"""A larger size may take as much more as it is larger, times this, and these in any case."""
MOST_MIB = 1430
"""Of ten million samples: 1.5 GB."""


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    del seed  # every size is tried once
    for index in indices:
        axis, before, size = TRIALS[index % len(TRIALS)]
        yield from [_end(index, axis, size)] if not before else _step(index, axis, before, size)


def _child(axis: str, size: int, limit: int = 0) -> dict[str, float | str]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.torture.scale_child", axis, str(size), folder, str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return {"failed": f"status {done.returncode}: {last[:200]}"}
    found: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return found


def _step(index: int, axis: str, before: int, size: int) -> Iterator[Trial]:
    small = _child(axis, before)
    if before == AXES[axis][0]:
        failed = str(small.get("failed") or small.get("refused") or "")
        yield Trial(f"{before:,} {axis}", index, failed, {} if failed else _figures(small), ended="result")
    yield _grown(index, axis, (before, small), (size, _child(axis, size)))


def _figures(found: dict[str, float | str]) -> dict[str, Figure]:
    return {name: float(found[name]) for name in ("compile_s", "run_s", "mib")}


def _grown(
    index: int, axis: str, less: tuple[int, dict[str, float | str]], more: tuple[int, dict[str, float | str]]
) -> Trial:
    (before, small), (size, large) = less, more
    case = f"{size:,} {axis}"
    wrong = small.get("failed") or large.get("failed") or small.get("refused") or ""
    refused = str(large.get("refused", ""))
    if wrong or refused:
        unasked = (
            ""
            if refused.count("\n") == 0 and "needs about" in refused
            else f"not refused as it should: {refused}"
        )
        return Trial(case, index, str(wrong or unasked), ended="" if wrong or unasked else "refused")
    times = size / before * SLACK
    figures = _figures(large)
    problems = [
        f"{name} {large[name]} after {small[name]} of {before:,}"
        for name in ("compile_s", "run_s")
        if float(large[name]) > float(small[name]) * times + SLACK_S
    ]
    if float(large["mib"]) > float(small["mib"]) * times + SLACK_MIB:
        problems.append(f"mib {large['mib']} after {small['mib']} of {before:,}")
    if axis == "steps" and float(large["compile_s"]) > float(small["compile_s"]) + SLACK_S:
        problems.append(
            f"compiling depends on the steps: {small['compile_s']} s, then {large['compile_s']} s"
        )
    if axis == "samples" and float(large["mib"]) > MOST_MIB:
        problems.append(f"{large['mib']} MiB, more than {MOST_MIB}")
    return Trial(case, index, "; ".join(problems), figures, ended="" if problems else "result")


def _end(index: int, axis: str, size: int) -> Trial:
    found = _child(axis, size, LIMIT)
    line = str(found.get("refused", found))
    held = "needs about" in line and "\n" not in line
    return Trial(f"{size:,} {axis}, in 6 GiB", index, "" if held else line, ended="refused" if held else "")


def _missing() -> str:
    left = available_bytes()
    return "" if left is None or left > LIMIT else "less than 6 GiB of memory are left"


PART = Part(
    name="scale",
    promise="Time and memory grow with steps, weights, students and samples no faster than these; compiling "
    "does not grow with the steps; what memory cannot hold is refused in one line before it begins.",
    how="Each size, and the one before it along its axis, is compiled and run in a process of its own; the "
    "ends again where the address space is bounded.",
    run=_run,
    short=1,
    full=len(TRIALS),
    unit="sizes",
    missing=_missing,
    found=(
        "Compiling took 13 s for 20 neurons at 100,000 steps: bounds were walked step by step.",
        "2e8 weights would have taken 9 GB to compile: quantising held several whole arrays of doubles.",
        "Ten million samples for counts only took 1,871 MiB: results were held twice while they were joined.",
        "2e8 weights, which were to be refused in 6 GiB, have come to fit: the end is 4e8 now, and refused.",
    ),
)
