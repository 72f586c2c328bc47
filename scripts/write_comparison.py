"""Write docs/comparison.md: what --compare does, and the processors in this package with their sources.

usage: python scripts/write_comparison.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pages import filled, keep

from sne_deploy.energy.figure import Figure
from sne_deploy.energy.processor import KINDS, Processor, packaged
from sne_deploy.report.verdict import number

PAGE = Path(__file__).resolve().parents[1] / "docs" / "comparison.md"
TEXT = Path(__file__).with_name("comparison_page.md")
EXAMPLE = """\
[my-accelerator]
description = "an accelerator with 8-bit integers"
kind = "published, whole processor"
mac = { value = 2.0, unit = "pJ", source = "its data sheet, table 3" }
idle = { value = 1.5, unit = "mW", source = "its data sheet, table 5" }"""
MEASURED = """\
[my-board]
description = "a board of mine"
kind = "measured, whole board"
networks = [
    { name = "teacher.onnx", macs = 337536, value = 41.5, unit = "uJ", source = "power meter, 2026-05-04" },
]"""


def page() -> str:
    """The page's text."""
    parts = {"table": _table(), "example": EXAMPLE, "measured": MEASURED}
    return filled(TEXT.read_text("utf-8"), parts)


def _table() -> str:
    lines = ["| name | processor | pJ per MAC | kind | source |", "|---|---|---|---|---|"]
    for kind in KINDS:
        for name, processor in packaged().items():
            if processor.kind == kind:
                lines.append(_row(name, processor))
    return "\n".join(lines)


def _row(name: str, processor: Processor) -> str:
    notes = [] if processor.mac is None or processor.mac.note is None else [processor.mac.note]
    source = "; ".join((*processor.sources, *notes))
    per_mac = _picojoules(processor.per_mac_j)
    return f"| `{name}` | {processor.description} | {per_mac} | {processor.kind} | {source} |"


def _picojoules(figure: Figure) -> str:
    value, low, high = (number(1e12 * each) for each in (figure.value, figure.low, figure.high))
    return value if low == high else f"{value} ({low} to {high})"


if __name__ == "__main__":
    sys.exit(keep(PAGE, page()))
