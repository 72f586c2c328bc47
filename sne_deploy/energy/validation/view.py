"""The cases as text: a table, why a case is missed, what is not judged, and what the intervals are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sne_deploy.energy.validation.predict import Prediction, Unpredicted
from sne_deploy.energy.validation.run import Validation

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

COLUMNS = {
    "quantity": None,
    "predicted": 9,
    "measured": 9,
    "unit": 7,
    "ratio": 5,
    "interval": 16,
    "inside": 6,
    "mostly": 10,
    "others alone": 12,
}
"""The columns and their widths; the first has what is left."""
TINY = 5e-5
"""Below it, a value rounds to 0.0000."""
INTERVALS = """\
interval: the chip's file gives it, as reports print it. Loihi 1's x0.8 to x1.25 of the neurocores was \
chosen knowing six of these readings, and x86 and static likewise. So "others alone" judges each case by the \
largest residual of the other cases on the same line, either way, at most x2.
ratio: predicted over measured. Nothing is fitted; a case that gave a constant is not judged by it."""


class ValidationView:
    """A rich renderable of a :class:`Validation`."""

    def __init__(self, validation: Validation) -> None:
        self.validation = validation

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Header, table, causes, what is not judged, notes."""
        found = self.validation
        for chip, digest in found.constants.items():
            yield Text(f"constants of {chip}: {chip}.toml, SHA-256 {digest}")
        yield from _tables(found)
        yield from _causes(found)
        yield from _left(found)
        yield Text(INTERVALS, style="dim")
        inside = sum(row.inside for row in found.rows)
        yield Text(
            f"{inside} of {len(found.rows)} inside, {len(found.left)} measured and not judged", style="bold"
        )


def cells(row: Prediction) -> tuple[str, ...]:
    """A row's columns, as :data:`COLUMNS`."""
    others = "none" if row.others is None else f"x{row.others:.2f} {'yes' if row.inside_others else 'NO'}"
    label = "" if row.label is None else f" ({row.label})"
    return (
        row.quantity,
        number(row.predicted),
        number(row.measured),
        row.unit,
        f"{row.ratio:.2f}",
        f"{number(row.low)} to {number(row.high)}{label}",
        "yes" if row.inside else "NO",
        row.dominating,
        others,
    )


def number(value: float) -> str:
    """Four digits, without an exponent; three with one where four decimals would leave nothing."""
    if 0 < abs(value) < TINY:
        return f"{value:.2e}"
    digits = 3 if value == 0 else max(0, 3 - len(str(int(value))) + (value < 1))
    return f"{value:,.{digits + 1 if value < 100 else 1 if value < 1000 else 0}f}"


def _tables(found: Validation) -> Iterator[Text | Table]:
    """The columns' names, then each case under its name."""
    yield _table([tuple(COLUMNS)], "bold")
    for case, rows in groupby(found.rows, key=lambda row: row.case):
        yield Text(case, style="bold")
        for row in rows:
            yield _table([cells(row)], "" if row.inside else "red")


def _table(rows: Sequence[tuple[str, ...]], style: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    for name, width in COLUMNS.items():
        right = name in ("predicted", "measured", "ratio")
        table.add_column(name, width=width, ratio=None if width else 1, justify="right" if right else "left")
    for row in rows:
        table.add_row(Padding(Text(row[0]), (0, 0, 0, 2)), *(Text(cell) for cell in row[1:]), style=style)
    return table


def causes(found: Validation) -> dict[str, list[str]]:
    """What is outside its interval, by the likely cause."""
    missed: dict[str, list[str]] = {}
    for row in found.rows:
        if not row.inside:
            cause = row.likely_cause or "no cause is known"
            missed.setdefault(cause, []).append(f"{row.case}, {row.quantity} (x{row.ratio:.2f})")
    return missed


def _causes(found: Validation) -> Iterator[Text | Padding]:
    missed = causes(found)
    if missed:
        yield Text("Outside, and the likely cause:", style="bold")
    for cause, rows in missed.items():
        yield Padding(Text(f"{'; '.join(rows)}: {cause}"), (0, 0, 0, 2))


def _left(found: Validation) -> Iterator[Text | Padding]:
    if found.left:
        yield Text("Measured and not judged:", style="bold")
    missing = {case.name: case.missing for case in found.cases}
    for row in found.left:
        yield Padding(Text(left_line(row, missing)), (0, 0, 0, 2))


def left_line(row: Unpredicted, missing: dict[str, list[str]]) -> str:
    """What was measured, why it is not judged, and what its publication leaves open."""
    line = f"{row.case}, {row.quantity} ({number(row.measured)} {row.unit}): {row.reason}"
    told = missing.get(row.case.partition(" ")[0], [])
    return line if row.reason.startswith("its recording") or not told else f"{line} ({told[0]})"
