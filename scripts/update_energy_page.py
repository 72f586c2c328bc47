"""Write docs/energy.md: the measured cases, the meters, and definitions of a SynOp.

usage: python scripts/update_energy_page.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from pages import filled, keep, table
from synop_definitions import SAMPLES, count

from sne_deploy.energy.validation.case import Case, Layer, Seen
from sne_deploy.energy.validation.run import Validation, validate
from sne_deploy.energy.validation.view import COLUMNS, causes, cells, left_line, number

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "energy.md"
TEXT = Path(__file__).with_name("energy_page.md")


def constants(found: Validation) -> str:
    """Which files the figures are from."""
    return table(
        ("constants", "SHA-256"), [(f"`{chip}.toml`", f"`{sha}`") for chip, sha in found.constants.items()]
    )


def case_table(found: Validation) -> str:
    """Every prediction."""
    rows = [(row.case, *cells(row)) for row in found.rows]
    rows = [
        tuple(f"**{cell}**" if cell == "NO" else cell.replace("NO", "**NO**") for cell in row) for row in rows
    ]
    inside = sum(row.inside for row in found.rows)
    return table(("case", *COLUMNS), rows) + f"\n\n{inside} of {len(found.rows)} inside."


def missed(found: Validation) -> str:
    """What is outside, by likely cause."""
    return "\n".join(f"- {'; '.join(rows)}: {cause}." for cause, rows in causes(found).items())


def left(found: Validation) -> str:
    """What was measured and cannot be judged."""
    return "\n".join(f"- {left_line(row, {})}." for row in found.left)


def missing(found: Validation) -> str:
    """What each case's publication does not say."""
    return "\n".join(
        f"- [{case.title}]({case.source.url}): {'; '.join(case.missing)}." for case in found.cases
    )


def boundaries(found: Validation) -> str:
    """Which parts of the board each meter saw."""
    seen: tuple[Seen, ...] = get_args(Seen)
    rows = [
        (case.name, name, *("●" if part in boundary.sees else "" for part in seen))
        for case in found.cases
        for name, boundary in case.boundaries.items()
    ]
    return table(("case", "reading", *seen), rows)


def meters(found: Validation) -> str:
    """The same in words."""
    return "\n".join(
        f"- {case.name}, {name}: {boundary.text}."
        for case in found.cases
        for name, boundary in case.boundaries.items()
    )


def counters(cases: Iterable[Case]) -> str:
    """Counters of the chip against the fullest core, by non-zero weights and by kernel taps."""
    layers = [layer for case in cases for point in case.points for layer in point.layers if layer.counter]
    return table(
        ("layer", "counter, 10^6", "non-zero weights", "of the counter", "kernel taps", "of non-zero"),
        [_counter(layer) for layer in layers],
    )


def _counter(layer: Layer) -> tuple[str, ...]:
    measured = layer.counter.value if layer.counter else 0.0
    ours = max(layer.synops_per_core) * 1e4 / 16 / 1e6  # 16 steps an inference
    over = (layer.synops_dense or 0.0) / layer.synops
    return (
        layer.name,
        number(measured),
        number(ours),
        f"{ours / measured - 1:+.2%}",
        number(ours * over),
        f"{over - 1:+.0%}",
    )


def definitions() -> str:
    """Students by every definition."""
    found = count()
    names = {
        "ours: SynOps": "ours",
        "ours: MACs on the host": "ours_host",
        "NeuroBench: Effective_ACs": "effective_acs",
        "NeuroBench: Effective_MACs": "effective_macs",
        "NeuroBench: Dense": "dense",
        "Norse: synops": "taps",
        "snnTorch: spikes": "spikes",
    }
    rows = [(name, *(f"{getattr(each, key):,.1f}" for each in found)) for name, key in names.items()]
    return table(("definition", *(each.student for each in found)), rows)


def page() -> str:
    """The page's text."""
    found = validate()
    parts = {
        "CONSTANTS": constants(found),
        "CASES": case_table(found),
        "MISSED": missed(found),
        "LEFT": left(found),
        "MISSING": missing(found),
        "BOUNDARIES": boundaries(found),
        "METERS": meters(found),
        "COUNTERS": counters(found.cases),
        "SAMPLES": str(SAMPLES),
        "DEFINITIONS": definitions(),
    }
    return filled(TEXT.read_text("utf-8"), parts)


if __name__ == "__main__":
    sys.exit(keep(PAGE, page()))
