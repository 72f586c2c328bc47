"""Write docs/reliability.md: promises and ways from tests/torture/parts, figures from docs/reliability.

usage: python scripts/write_reliability.py [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from pages import filled, keep, table  # noqa: E402

from tests.torture.part import Part, parts  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
TEXT = Path(__file__).with_name("reliability_page.md")
RESULTS = ROOT / "docs" / "reliability"
COUNTED = ("case", "tried", "held")


def page() -> str:
    """The page's text."""
    known = parts()
    measured = {name: found for name in known if (found := _results(name))}
    made = {
        "SUMMARY": _summary(measured),
        "PARTS": "\n\n".join(_part(known[name], found) for name, found in measured.items()),
    }
    return filled(TEXT.read_text("utf-8"), made)


def _results(name: str) -> dict[str, Any] | None:
    """What was measured of a part; None where nothing was."""
    path = RESULTS / f"{name}.json"
    found = json.loads(path.read_text("utf-8")) if path.exists() else {"skipped": "not run"}
    return None if found["skipped"] else found


def _summary(measured: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, found in measured.items():
        tried = sum(row["tried"] for row in found["rows"])
        held = sum(row["held"] for row in found["rows"])
        rows.append((f"[{name}](#{name})", f"{tried:,}", f"{held:,}", _failed(found), _time(found)))
    return table(("part", "tried", "held", "failed", "took"), rows)


def _failed(found: Mapping[str, Any]) -> str:
    return f"**{found['failed']:,}**" if found["failed"] else "0"


def _time(found: Mapping[str, Any]) -> str:
    seconds = found["seconds"]
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _part(part: Part, found: Mapping[str, Any]) -> str:
    said = [f"## {part.name}", f"**Promise.** {part.promise}", f"**How.** {part.how}"]
    said += [_rows(found), _command(found), *_failures(found)]
    if part.found:
        said.append(
            "Found so far, and what became of it:\n\n" + "\n".join(f"- {each}" for each in part.found)
        )
    return "\n\n".join(said)


def _rows(found: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in found["rows"] for name in row))
    figures = [name for name in names if name not in COUNTED]
    rows = [[_cell(row.get(name)) for name in (*COUNTED, *figures)] for row in found["rows"]]
    return table((*COUNTED, *figures), rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{count:,} {name}" for name, count in value.items())
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)


def _command(found: Mapping[str, Any]) -> str:
    cores = f"{found['cores']} core{'s' if found['cores'] > 1 else ''}"
    where = f"on Python {found['python']} with {cores}"
    return f"`{found['command']}`, {where}. Of a case that was tried more than once, figures are the largest."


def _failures(found: Mapping[str, Any]) -> list[str]:
    if not found["failed"]:
        return []
    lines = [f"- {each['case']}: {each['found']}; again: `{each['again']}`" for each in found["failures"]]
    return [f"**Failed, {found['failed']:,} of them:**\n\n" + "\n".join(lines)]


if __name__ == "__main__":
    sys.exit(keep(PAGE, page()))
