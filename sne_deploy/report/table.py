"""A report as a table for the terminal, for any width: no number is ever cut off.

Wide terminals get one table; narrower ones the counts and the energies as two; very narrow ones a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sne_deploy.energy.accounting import Energy
from sne_deploy.report.chip_view import Lines, chip_tables
from sne_deploy.report.comparison_table import comparison_view
from sne_deploy.report.file import Report
from sne_deploy.report.notes import Note, report_notes
from sne_deploy.report.schema import CostModel, TeacherModel
from sne_deploy.report.units import ABSENT, count, joules, percent, printable

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType, RenderResult

COUNTS = ("accuracy", "active", "SynOps", "spikes")
ENERGIES = ("energy", "synops", "updates", "sent", "host")
TEXT_WIDTH = 110
"""Columns of a table that is text: it has room for all of them side by side."""
_NAME_MIN = 10
_NOTES_MIN = 60


@dataclass(frozen=True)
class Row:
    """One line: who, its counts (as :data:`COUNTS`), its energies (as :data:`ENERGIES`), its style."""

    name: str
    counts: tuple[str, ...]
    energies: tuple[str, ...]
    style: str


@dataclass(frozen=True, repr=False)
class ReportView:
    """A rich renderable that suits itself to the console's width.

    Attributes
    ----------
    report : Report
    """

    report: Report

    def __str__(self) -> str:
        """Plain text, wide enough for the whole table."""
        text = StringIO()
        Console(file=text, width=TEXT_WIDTH, force_jupyter=False, force_terminal=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<pre style="line-height:1.2">{escape(str(self))}</pre>'

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose the columns that fit."""
        rows = report_rows(self.report)
        yield from (Text(printable(text), style="bold red") for text in self.report.dead or ())
        yield Text(report_title(self.report), style="bold")
        yield _fitting(rows, console, options.max_width)
        for lines in chip_tables(self.report):
            table = _lines_table(lines)
            yield table if _fits(table, console, options.max_width) else _lines_list(lines)
        if self.report.comparison is not None:
            yield from comparison_view(self.report.comparison, console, options.max_width)
        yield _notes(report_notes(self.report), options.max_width)


def report_view(report: Report) -> ReportView:
    """A report for the terminal: students, ensemble, teacher, and what to know about the figures."""
    return ReportView(report)


def report_rows(report: Report) -> tuple[Row, ...]:
    """The table's rows, as text: every student, the ensemble, the teacher."""
    students = [
        _row(printable(student.name), student, student.accuracy, percent(student.active_fraction), "")
        for student in report.students
    ]
    active = f"{report.ensemble.mean_active_students:.2f}".rstrip("0").rstrip(".")
    of = f"{active} of {len(report.students)}"
    ensemble = _row("ensemble", report.ensemble, report.ensemble.accuracy, of, "bold")
    teacher = () if report.teacher is None else (_teacher_row(report.teacher),)
    return (*students, ensemble, *teacher)


def _row(name: str, cost: CostModel, accuracy: float | None, active: str, style: str) -> Row:
    energy = cost.energy_per_sample_j
    return Row(
        name=name,
        counts=(percent(accuracy), active, count(cost.synops_per_sample), count(cost.spikes_per_sample)),
        energies=tuple(
            joules(part)
            for part in (energy.total, energy.synops, energy.updates, _moved(energy), energy.host)
        ),
        style=style,
    )


def _moved(energy: Energy) -> float | None:
    """Messages and the links that they cross; without a placement, spikes."""
    return None if energy.spikes is None else energy.spikes + (energy.hops or 0.0)


def _teacher_row(teacher: TeacherModel) -> Row:
    macs = f"{teacher.macs:,} MAC"
    energy = joules(teacher.energy_j)
    return Row(
        name="teacher",
        counts=(percent(teacher.accuracy), ABSENT, macs, ABSENT),
        energies=(energy, ABSENT, ABSENT, ABSENT, energy),
        style="dim",
    )


def report_title(report: Report) -> str:
    """Model, target, data and steps in a line."""
    data = report.data
    return printable(
        f"{report.model} on {report.target} ({report.precision}, {report.hardware.name}): "
        f"{data.samples:,} samples of {data.name}, {data.timesteps} steps"
    )


def _fitting(rows: Sequence[Row], console: Console, width: int) -> RenderableType:
    """The widest set of columns that shows every number whole."""
    counts = [row.counts for row in rows]
    energies = [row.energies for row in rows]
    both = [(*row.counts, *row.energies) for row in rows]
    energy_heads = ("energy", *(f"({name})" for name in ENERGIES[1:]))
    one = _table(rows, (*COUNTS, *energy_heads), both)
    if _fits(one, console, width):
        return one
    two = (_table(rows, COUNTS, counts), _table(rows, energy_heads, energies))
    if all(_fits(table, console, width) for table in two):
        return Group(*two)
    return _list(rows)


def _fits(table: Table, console: Console, width: int) -> bool:
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).minimum
    return needed <= width


def _table(rows: Sequence[Row], heads: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    """Numbers never wrap or shrink; a long name folds."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    longest = max(len(row.name) for row in rows)
    table.add_column("per sample", overflow="fold", min_width=min(longest, _NAME_MIN))
    for index, head in enumerate(heads):
        size = max(len(head), *(len(line[index]) for line in cells))
        table.add_column(head, justify="right", no_wrap=True, min_width=size)
    for row, line in zip(rows, cells, strict=True):
        table.add_row(Text(row.name), *(Text(cell) for cell in line), style=row.style)
    return table


def _lines_table(lines: Lines) -> Table:
    """What stands in a row stays whole."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    names = [name for name, _ in lines.rows]
    table.add_column(lines.title, overflow="fold", min_width=min(max(map(len, names)), _NAME_MIN))
    for index, head in enumerate(lines.heads):
        size = max(len(head), *(len(cells[index]) for _, cells in lines.rows))
        table.add_column(head, justify="right", no_wrap=True, min_width=size)
    for name, cells in lines.rows:
        style = "bold" if name == "ensemble" else ""
        table.add_row(Text(name), *(Text(cell) for cell in cells), style=style)
    return table


def _lines_list(lines: Lines) -> Group:
    found = [Text(lines.title, style="bold", overflow="fold")]
    for name, cells in lines.rows:
        found.append(Text(name, style="bold", overflow="fold"))
        found += [
            Text(f"  {head}: {cell}", overflow="fold") for head, cell in zip(lines.heads, cells, strict=True)
        ]
    return Group(*found)


def _notes(notes: Sequence[Note], width: int) -> RenderableType:
    """Labels in a column of their own, each once, where there is room for them."""
    if width < _NOTES_MIN:
        return Group(*(Text.assemble((f"{label}: ", "bold"), text) for label, text in notes))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    before = ""
    for label, text in notes:
        grid.add_row("" if label == before else label, Text(text))
        before = label
    return grid


def _list(rows: Sequence[Row]) -> Group:
    """One figure a line."""
    lines: list[Text] = []
    for row in rows:
        lines.append(Text(row.name, style="bold", overflow="fold"))
        figures = [*zip(COUNTS, row.counts, strict=True), ("energy", row.energies[0])]
        figures += [
            (f"energy of {name}", cell) for name, cell in zip(ENERGIES[1:], row.energies[1:], strict=True)
        ]
        lines.extend(Text(f"  {label}: {cell}", overflow="fold") for label, cell in figures)
    return Group(*lines)
