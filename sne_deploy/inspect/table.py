"""What ``sne inspect`` found as tables for the terminal, for any width: no value is ever cut off.

A table that is too wide becomes a list, one value a line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sne_deploy.inspect.numbers import in_range, number, seconds, shape_text
from sne_deploy.inspect.pictures import totals
from sne_deploy.inspect.views import (
    ConnectionView,
    ModelView,
    NodeView,
    StudentView,
    SupportView,
    ValueView,
    common_support,
)
from sne_deploy.report.units import ABSENT, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

_TEXT_MIN = 10
_PAIRS_MIN = 60


@dataclass(frozen=True)
class Column:
    """A column: numbers stand right and never wrap; text folds where there is little room."""

    head: str
    number: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table before it is known how wide it may be; the first ``keys`` columns name a row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: int = 1


@dataclass(frozen=True)
class InspectView:
    """Everything, as a rich renderable that suits itself to the console's width.

    Attributes
    ----------
    model : ModelView
    whole : bool
        False for the part that is one layer: sizes of whole students would mislead there.
    """

    model: ModelView
    whole: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose the columns that fit."""
        model, width = self.model, options.max_width
        yield Text(printable(model.model), style="bold", overflow="fold")
        facts = [*model.facts, *([("not compiled", model.refused)] if model.refused else [])]
        if facts:
            yield pairs(facts, width)
        if model.provenance:
            yield Text("\nprovenance", style="bold")
            yield pairs(model.provenance, width)
        shared = common_support(model.students)
        for student in model.students:
            yield from _student(student, console, width, whole=self.whole, support=shared is None)
        if shared:
            yield Text("\ntargets", style="bold")
            yield fitted(support_sheet(shared), console, width)


def _student(
    student: StudentView, console: Console, width: int, *, whole: bool, support: bool
) -> Iterator[RenderableType]:
    readout = [f"readout {student.readout}"] if student.readout else []
    sizes = f": {', '.join([*totals(student), *readout])}" if whole else ""
    yield Text(f"\n{printable(student.name)}{sizes}", style="bold", overflow="fold")
    if student.nodes:
        yield fitted(node_sheet(student.nodes), console, width)
    if student.groups:
        yield fitted(value_sheet(student), console, width)
    if student.connections:
        yield fitted(connection_sheet(student.connections), console, width)
    if support and student.support:
        yield fitted(support_sheet(student.support), console, width)
    if student.notes:
        yield pairs([("note", note) for note in student.notes], width)


def node_sheet(nodes: Sequence[NodeView]) -> Sheet:
    """The graph, one node a row, sources first."""
    heads = ("neurons", "parameters", "connections", "synapses")
    columns = (
        Column("node"),
        Column("type"),
        Column("shape"),
        *(Column(head, number=True) for head in heads),
    )
    rows = tuple(
        (
            printable(node.name),
            f"{node.type} ({node.detail})" if node.detail else node.type,
            shape_text(node.shape),
            count(node.neurons or None),
            count(node.parameters or None),
            count(node.connections),
            count(node.synapses),
            printable(", ".join(node.targets)) or ABSENT,
        )
        for node in nodes
    )
    return Sheet((*columns, Column("to")), rows)


def value_sheet(student: StudentView) -> Sheet:
    """Neurons in both units: a quantity a row."""
    columns = (
        Column("neurons"),
        Column("quantity"),
        Column("student"),
        Column("register"),
        Column("holds"),
        Column("that is"),
    )
    rows = []
    for group in student.groups:
        name = printable(group.name)
        rows += [(name, value.quantity, *_value_cells(value)) for value in group.values]
        if group.scale is not None:
            rows.append((name, "scale of v", "1", "v", in_range(group.scale, number), "1"))
    return Sheet(columns, tuple(rows), keys=2)


def _value_cells(value: ValueView) -> tuple[str, str, str, str]:
    text = seconds if value.unit == "s" else number
    student = ABSENT if value.student is None else in_range(value.student, text)
    integer = ABSENT if value.integer is None else in_range(value.integer, number)
    on_chip = ABSENT if value.on_chip is None else in_range(value.on_chip, text)
    return student, value.register, integer, on_chip


def connection_sheet(connections: Sequence[ConnectionView]) -> Sheet:
    """What was compiled between the groups."""
    columns = (
        Column("connection"),
        Column("from"),
        Column("to"),
        Column("synapses", number=True),
        Column("delay", number=True),
        Column("exp", number=True),
        Column("signs"),
        Column("clipped", number=True),
        Column("SNR", number=True),
    )
    return Sheet(columns, tuple(_connection_row(connection) for connection in connections))


def _connection_row(connection: ConnectionView) -> tuple[str, ...]:
    names = [printable(name) for name in (connection.name, connection.source, connection.target)]
    if connection.host:
        return (*names, f"{connection.synapses:,} MAC", *[ABSENT] * 5)
    late = f" ({connection.late} late)" if connection.late else ""
    return (
        *names,
        f"{connection.synapses:,}",
        f"{connection.delay}{late}",
        ABSENT if connection.weight_exp is None else str(connection.weight_exp),
        connection.sign_mode or ABSENT,
        ABSENT if connection.weight_exp is None else f"{connection.saturated_weights:,}",
        decibel(connection.snr_db),
    )


def support_sheet(support: Sequence[SupportView]) -> Sheet:
    """What each target supports: a target and a precision a row."""
    rows = tuple(
        (
            printable(row.target),
            row.precision,
            "yes" if row.supported else f"no: {printable('; '.join(row.reasons))}",
        )
        for row in support
    )
    return Sheet((Column("target"), Column("precision"), Column("supported")), rows, keys=2)


def count(value: int | None) -> str:
    """Thousands separated; ``-`` for None."""
    return ABSENT if value is None else f"{value:,}"


def decibel(value: float | None) -> str:
    """A signal-to-noise ratio; ``exact`` for an infinite one."""
    if value is None:
        return ABSENT
    return "exact" if math.isinf(value) else f"{value:.1f} dB"


def fitted(sheet: Sheet, console: Console, width: int) -> RenderableType:
    """A table where every number fits whole and text has some room, else a list."""
    table = _table(sheet)
    needed = sum(column.min_width or 0 for column in table.columns)
    frame = Measurement.get(console, console.options.update(max_width=100_000), table).maximum
    frame -= sum(max(_longest(sheet, at), 1) for at in range(len(sheet.columns)))
    return table if needed + frame <= width else _list(sheet)


def _longest(sheet: Sheet, at: int) -> int:
    return max(cell_len(text) for text in (sheet.columns[at].head, *(row[at] for row in sheet.rows)))


def _table(sheet: Sheet) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for at, column in enumerate(sheet.columns):
        longest = _longest(sheet, at)
        if column.number:
            table.add_column(column.head, justify="right", no_wrap=True, min_width=longest)
        else:
            table.add_column(column.head, overflow="fold", min_width=min(longest, _TEXT_MIN))
    before = ""
    for row in sheet.rows:
        shown = ("" if row[0] == before else row[0], *row[1:])
        table.add_row(*(Text(cell) for cell in shown))
        before = row[0]
    return table


def _list(sheet: Sheet) -> Group:
    """Under each value of the first column a line for each other value, or for each row of two keys."""
    lines: list[Text] = []
    before = ""
    heads = [column.head for column in sheet.columns[sheet.keys :]]
    for row in sheet.rows:
        if row[0] != before:
            lines.append(Text(row[0], style="bold", overflow="fold"))
        before = row[0]
        cells = [(head, cell) for head, cell in zip(heads, row[sheet.keys :], strict=True) if cell != ABSENT]
        if sheet.keys == 1:
            lines.extend(Text(f"  {head}: {cell}", overflow="fold") for head, cell in cells)
        else:
            rest = ", ".join(f"{head} {cell}" for head, cell in cells)
            lines.append(Text(f"  {row[1]}: {rest}", overflow="fold"))
    return Group(*lines)


def pairs(labelled: Sequence[tuple[str, str]], width: int) -> RenderableType:
    """Labels in a column of their own where there is room for them."""
    shown = [(printable(label), printable(text)) for label, text in labelled]
    if width < _PAIRS_MIN:
        return Group(*(Text.assemble((f"{label}: ", "bold"), text, overflow="fold") for label, text in shown))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold", max_width=width // 3)
    grid.add_column(overflow="fold")
    before = ""
    for label, text in shown:
        grid.add_row("" if label == before else label, Text(text))
        before = label
    return grid
