"""Write what memory is said and taken, of docs/memory.json, into docs/limits.md.

usage: python scripts/write_memory.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

from pages import between, keep, table  # noqa: E402

DOCS = ROOT / "docs"
PAGE = DOCS / "limits.md"
HEAD = ("input", "weights", "samples", "there before", "compile: said", "taken", "run: said", "taken")


def made(found: dict[str, Any]) -> str:
    """The table, and the command."""
    rows = []
    for name, row in found["inputs"].items():
        steps = [
            f"{value:,.0f} MiB"
            for step in (row["compile"], row["run"])
            for value in (step["said_mib"], step["taken_mib"])
        ]
        there = f"{row['compile']['before_mib']:,.0f} MiB"
        rows.append((name, f"{row['weights']:,}", f"{row['samples']:,}", there, *steps))
    how = f"Measured by `{found['command']}`, Python {found['python']}: `loihi` with its reference."
    return f"{table(HEAD, rows)}\n\n{how}"


def page() -> str:
    """The page with the table in its place."""
    found = json.loads((DOCS / "memory.json").read_text("utf-8"))
    return between(PAGE.read_text("utf-8"), "write_memory.py", made(found))


if __name__ == "__main__":
    sys.exit(keep(PAGE, page()))
