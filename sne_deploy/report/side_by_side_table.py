"""Several reports side by side for the terminal, for any width: no number is ever cut off."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sne_deploy.report.side_by_side import Row, SideBySide
from sne_deploy.report.units import printable

_LEAST = 16
"""Columns of a run."""

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult


@dataclass(frozen=True)
class SideBySideView:
    """A rich renderable; what differs from the first run is bold, and says how far.

    Attributes
    ----------
    found : SideBySide
    """

    found: SideBySide

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A table, or where it does not fit a list."""
        table = _table(self.found)
        needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
        yield table if needed <= options.max_width else _list(self.found)
        for remark in self.found.remarks:
            yield Text(printable(remark), style="bold red" if remark.startswith("not comparable") else "")


def cell(row: Row, index: int) -> str:
    """A figure, and in brackets how far it is from the first."""
    change = row.changes[index]
    return printable(row.cells[index]) + (f" ({change})" if change else "")


def _table(found: SideBySide) -> Table:
    """Columns as wide as their numbers; words fold within them."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    table.add_column("per sample", no_wrap=True)
    sizes = []
    for index, run in enumerate(found.runs):
        numbers = [len(cell(row, index)) for row in found.rows if row.values[index] is not None]
        sizes.append(max([_LEAST, *numbers]))
        table.add_column(_folded(run.name, sizes[-1]), justify="right", no_wrap=True, min_width=sizes[-1])
    for row in found.rows:
        cells = (_folded(cell(row, index), size) for index, size in enumerate(sizes))
        table.add_row(Text(row.metric), *cells, style="bold" if row.differs else "")
    return table


def _folded(text: str, size: int) -> Text:
    return Text("\n".join(wrap(printable(text), size)))


def _list(found: SideBySide) -> RenderableType:
    lines = []
    for row in found.rows:
        lines.append(Text(row.metric, style="bold" if row.differs else "", overflow="fold"))
        lines += [
            Text(f"  {printable(run.name)}: {cell(row, index)}", overflow="fold")
            for index, run in enumerate(found.runs)
        ]
    return Group(*lines)
