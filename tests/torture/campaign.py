"""Trials made one after the other, and counted."""

from __future__ import annotations

import os
import platform
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tests.torture.part import Figure, Part, Trial

MOST_FAILURES = 50
"""As many are kept in the file; all are printed and counted."""


KEEP_S = 30.0
"""So often the results are kept while a part runs."""


def campaign(
    part: Part,
    indices: Sequence[int],
    seed: int,
    say: Callable[[str], None],
    before: Mapping[str, Any] | None = None,
    keep: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Make the trials of a part; the part's results, as they are kept, with those of trials made before."""
    why = part.missing()
    found = _Results(part, len(indices), seed, before)
    kept = time.monotonic()
    with suppress(KeyboardInterrupt):  # what is done counts
        for trial in () if why else part.run(indices, seed):
            if trial.found:
                say(f"{part.name} {trial.case} {trial.index}: {trial.found}\n    {found.add(trial)}")
            else:
                found.add(trial)
            if time.monotonic() - kept > KEEP_S:
                keep(found.all(why))
                kept = time.monotonic()
    return found.all(why)


class _Results:
    def __init__(self, part: Part, asked: int, seed: int, before: Mapping[str, Any] | None) -> None:
        self._part, self._asked, self._seed = part, asked, seed
        self._start = time.monotonic() - (before["seconds"] if before else 0.0)
        self._cases: dict[str, dict[str, Any]] = {row["case"]: row for row in (before or {}).get("rows", ())}
        self._failures: list[dict[str, Any]] = list((before or {}).get("failures", ()))
        self._failed: int = before["failed"] if before else 0

    def add(self, trial: Trial) -> str:
        """Count a trial; the command that repeats it."""
        row = self._cases.setdefault(trial.case, {"case": trial.case, "tried": 0, "held": 0})
        row["tried"] += 1
        row["held"] += not trial.found
        for name, value in trial.figures.items():
            row[name] = _larger(row.get(name), value)
        if trial.ended:
            ends = row.setdefault("ended", {})
            ends[trial.ended] = ends.get(trial.ended, 0) + 1
        failure = _failure(self._part, trial, self._seed, self._asked)
        if trial.found:
            self._failures.append(failure)
            self._failed += 1
        return str(failure["again"])

    def all(self, why: str) -> dict[str, Any]:
        """Everything so far."""
        part, rows = self._part, list(self._cases.values())
        count = sum(row["tried"] for row in rows) if part.unit == "trials" else self._asked
        return {
            "part": part.name,
            "command": _command(part.name, "--count", str(count), "--seed", str(self._seed)),
            "count": count,
            "unit": part.unit,
            "seed": self._seed,
            "skipped": why,
            "seconds": round(time.monotonic() - self._start, 1),
            "python": platform.python_version(),
            "cores": len(os.sched_getaffinity(0)),
            "rows": rows,
            "failed": self._failed,
            "failures": self._failures[:MOST_FAILURES],
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
