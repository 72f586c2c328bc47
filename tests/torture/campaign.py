"""Trials made one after the other, and counted."""

from __future__ import annotations

import os
import platform
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tests.torture.part import Figure, Part, Trial

MOST_FAILURES = 50
"""As many are kept in the file; all are printed and counted."""


def campaign(part: Part, indices: Sequence[int], seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Make the trials of a part; the part's results, as they are kept."""
    why = part.missing()
    start = time.monotonic()
    cases: dict[str, dict[str, Any]] = {}
    failures: list[dict[str, Any]] = []
    with suppress(KeyboardInterrupt):  # what is done counts
        for trial in () if why else part.run(indices, seed):
            row = cases.setdefault(trial.case, {"case": trial.case, "tried": 0, "held": 0})
            row["tried"] += 1
            row["held"] += not trial.found
            for name, value in trial.figures.items():
                row[name] = _larger(row.get(name), value)
            if trial.ended:
                ends = row.setdefault("ended", {})
                ends[trial.ended] = ends.get(trial.ended, 0) + 1
            if trial.found:
                failures.append(_failure(part, trial, seed, len(indices)))
                say(f"{part.name} {trial.case} {trial.index}: {trial.found}\n    {failures[-1]['again']}")
    count = sum(row["tried"] for row in cases.values()) if part.unit == "trials" else len(indices)
    return {
        "part": part.name,
        "command": _command(part.name, "--count", str(count), "--seed", str(seed)),
        "count": count,
        "unit": part.unit,
        "seed": seed,
        "skipped": why,
        "seconds": round(time.monotonic() - start, 1),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "rows": list(cases.values()),
        "failed": len(failures),
        "failures": failures[:MOST_FAILURES],
    }


def _larger(old: Figure | None, new: Figure) -> Figure:
    if isinstance(old, str) or isinstance(new, str):
        return new
    return new if old is None else max(old, new)


def _failure(part: Part, trial: Trial, seed: int, count: int) -> dict[str, Any]:
    which = ("--only", str(trial.index)) if part.unit == "trials" else ("--count", str(count))
    again = _command(part.name, "--seed", str(seed), *which)
    return {"case": trial.case, "index": trial.index, "found": trial.found, "again": again}


def _command(*arguments: str) -> str:
    return shlex.join(["python", "-m", "tests.torture", *arguments])


def line(results: dict[str, Any]) -> str:
    """Results in one line."""
    if results["skipped"]:
        return f"{results['part']}: left out, {results['skipped']}"
    tried = sum(row["tried"] for row in results["rows"])
    return (
        f"{results['part']}: {tried} tried, {tried - results['failed']} held, "
        f"{results['failed']} failed, {results['seconds']:.0f} s"
    )
