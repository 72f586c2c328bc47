"""A report's comparison for the terminal: one table for each network, for any width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sne_deploy.energy.processor import ARITHMETIC, Kind
from sne_deploy.report.comparison import ComparisonModel, NetworkModel, comparisons
from sne_deploy.report.units import ABSENT, joules, printable, three_digits
from sne_deploy.report.verdict import rate, when

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

HEADS = ("kind", "there", "on the chip", "ratio", "less on the chip")
_KINDS: dict[Kind, str] = {
    "measured, whole board": "board",
    "published, whole processor": "published",
    "arithmetic alone": "arithmetic",
}


def comparison_rows(model: ComparisonModel, network: NetworkModel) -> list[tuple[str, ...]]:
    """Cells of every processor: its name, and as :data:`HEADS`; energies are of one inference."""
    found: list[tuple[str, ...]] = []
    for row, (name, comparison) in zip(network.rows, comparisons(model, network), strict=True):
        ratio = ABSENT if row.ratio is None else f"{three_digits(row.ratio.value)} x"
        less = when(comparison)
        for long, short in ((" inferences/s", "/s"), (" at best, ", " to "), (" at worst", "")):
            less = less.replace(long, short)
        energies = (joules(row.theirs_j.value), joules(row.ours_j.value))
        found.append((printable(name), _KINDS[comparison.kind], *energies, ratio, less))
    return found


def comparison_view(model: ComparisonModel, console: Console, width: int) -> Iterator[RenderableType]:
    """Each network's table, or where that does not fit, its figures line by line."""
    for network in model.networks:
        at = "" if model.rate_per_s is None else f", at {rate(model.rate_per_s)}"
        title = f"{printable(network.name)}, {network.macs:,} MAC{at}"
        yield Text(title, style="bold")
        rows = comparison_rows(model, network)
        if not rows:
            continue
        table = _table(rows)
        needed = Measurement.get(console, console.options.update(max_width=10_000), table).minimum
        yield table if needed <= width else _list(rows)


def _table(rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for index, head in enumerate(("per inference", *HEADS)):
        right = index in (2, 3, 4)
        size = max(len(head), *(len(row[index]) for row in rows))
        table.add_column(head, justify="right" if right else "left", no_wrap=True, min_width=size)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row), style="dim" if row[1] == _KINDS[ARITHMETIC] else "")
    return table


def _list(rows: list[tuple[str, ...]]) -> Group:
    lines = []
    for name, *cells in rows:
        lines.append(Text(name, style="bold", overflow="fold"))
        figures = zip(HEADS, cells, strict=True)
        lines.extend(Text(f"  {head}: {cell}", overflow="fold") for head, cell in figures)
    return Group(*lines)
