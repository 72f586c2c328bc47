"""``sne inspect`` on one screen: a row for each layer, or for each student; and one layer in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text

from sne_deploy.errors import InputError
from sne_deploy.inspect.table import Column, Sheet, count, decibel, fitted, pairs
from sne_deploy.inspect.views import ConnectionView, ModelView, StudentView, SupportView
from sne_deploy.report.units import ABSENT, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

Note = tuple[str, str]
"""(label, text)."""

MAX_ROWS = 24
MAX_NOTES = 3
MAX_PROVENANCE = 40
"""Characters of a value of the provenance that is shown; longer ones are named."""


@dataclass(frozen=True)
class SummaryView:
    """A rich renderable: what matters of a model, on one screen of 100 columns."""

    model: ModelView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Facts, the table, and what to know of it."""
        model, width = self.model, options.max_width
        refused = [("not compiled", model.refused)] if model.refused else []
        yield Text(printable(model.model), style="bold", overflow="fold")
        yield pairs([*model.facts, *refused, ("size", _size(model.students)), *_provenance(model)], width)
        yield fitted(summary_sheet(model.students), console, width)
        yield pairs([*_notes(model), ("more", "--layer NAME: one layer; --all: everything")], width)


def summary_sheet(students: Sequence[StudentView]) -> Sheet:
    """A row for each layer of neurons; for each student where that makes too many rows."""
    rows = [row for student in students for row in _layer_rows(student)]
    heads = ("student", "layer", "neurons", "count", "synapses", "clipped", "SNR")
    if len(rows) > MAX_ROWS:
        heads = ("student", "layers", "neurons", "parameters", "synapses", "clipped", "lowest SNR")
        rows = [_student_row(student) for student in students[:MAX_ROWS]]
        if len(students) > MAX_ROWS:
            rows.append((f"{len(students) - MAX_ROWS} more: --all", *[ABSENT] * (len(heads) - 1)))
    text = {"student", "layer", "neurons"} if heads[1] == "layer" else {"student"}
    return Sheet(tuple(Column(head, number=head not in text) for head in heads), tuple(rows))


def _layer_rows(student: StudentView) -> Iterator[tuple[str, ...]]:
    layers = [node for node in student.nodes if node.neurons]
    if not layers:
        yield (printable(student.name), *[ABSENT] * 6)
    for node in layers:
        into = [connection for connection in student.connections if connection.target == node.name]
        kind = ", ".join([node.type, *node.detail.split(", ")[:1]]) if node.detail else node.type
        yield (printable(student.name), printable(node.name), kind, count(node.neurons), *_quality(into))


def _student_row(student: StudentView) -> tuple[str, ...]:
    layers = sum(node.neurons > 0 for node in student.nodes)
    sizes = (count(value) for value in (layers, student.neurons, student.parameters))
    return (printable(student.name), *sizes, *_quality(student.connections))


def _quality(connections: Sequence[ConnectionView]) -> tuple[str, str, str]:
    """Synapses, clipped weights and the lowest signal-to-noise ratio of what was compiled."""
    chip = [connection for connection in connections if not connection.host]
    macs = sum(connection.synapses for connection in connections if connection.host)
    parts = [f"{macs:,} MAC"] if macs else []
    if chip:
        parts.append(f"{sum(connection.synapses for connection in chip):,}")
    fixed = [connection for connection in chip if connection.weight_exp is not None]
    clipped = count(sum(connection.saturated_weights for connection in fixed)) if fixed else ABSENT
    ratios = [connection.snr_db for connection in fixed if connection.snr_db is not None]
    return " + ".join(parts) or ABSENT, clipped, decibel(min(ratios, default=None))


def _size(students: Sequence[StudentView]) -> str:
    found = [f"{sum(student.neurons for student in students):,} neurons"]
    found.append(f"{sum(student.parameters for student in students):,} parameters")
    synapses = [student.synapses for student in students if student.synapses is not None]
    return ", ".join([*found, f"{sum(synapses):,} synapses"] if synapses else found)


def _provenance(model: ModelView) -> list[Note]:
    if not model.provenance:
        return []
    short = [f"{name} {value}" for name, value in model.provenance if len(value) <= MAX_PROVENANCE]
    long = [name for name, value in model.provenance if len(value) > MAX_PROVENANCE]
    return [("provenance", ", ".join([*short, *(f"{name}: --all" for name in long)]))]


def _notes(model: ModelView) -> Iterator[Note]:
    if any(student.support for student in model.students):
        yield "targets", _support(model.students)
    fixed = [
        (student.name, connection)
        for student in model.students
        for connection in student.connections
        if connection.weight_exp is not None
    ]
    clipped = sum(connection.saturated_weights for _, connection in fixed)
    if clipped:
        total = sum(connection.weights for _, connection in fixed)
        name, worst = max(fixed, key=lambda pair: pair[1].saturated_weights / max(pair[1].weights, 1))
        most = f"{worst.saturated_weights:,} of {worst.weights:,} of {worst.name!r} in {name!r}"
        yield "clipped", f"{clipped:,} of {total:,} weights; worst: {most}"
    notes = list(dict.fromkeys(note for student in model.students for note in student.notes))
    for note in notes[:MAX_NOTES]:
        yield "note", note
    if len(notes) > MAX_NOTES:
        yield "note", f"{len(notes) - MAX_NOTES} more: --all"


def _support(students: Sequence[StudentView]) -> str:
    """Targets with their precisions; of each that does not run every student, the first reason."""
    able: dict[str, dict[str, None]] = {}
    refused: dict[tuple[str, str], list[tuple[str, SupportView]]] = {}
    for student in students:
        for row in student.support:
            able.setdefault(row.target, {})[row.precision] = None
            if not row.supported:
                refused.setdefault((row.target, row.precision), []).append((student.name, row))
    for target, precision in refused:
        del able[target][precision]
    parts = [f"{target} ({', '.join(precisions)})" for target, precisions in able.items() if precisions]
    for (target, precision), found in refused.items():
        reasons = found[0][1].reasons
        every = len(found) == len(students)
        names = ", ".join(name for name, _ in found[:MAX_NOTES]) + (", ..." if len(found) > MAX_NOTES else "")
        whom = "any student" if every else f"student{'s' if len(found) > 1 else ''} {names}"
        more = " (--all: every reason)" if len(reasons) > 1 or len(found) > 1 else ""
        parts.append(f"{target} ({precision}) not {whom}: {reasons[0]}{more}")
    return "; ".join(parts)


def one_layer(model: ModelView, name: str) -> ModelView:
    """What belongs to one layer in every student that has it; ``STUDENT/NAME`` picks the student.

    Raises
    ------
    InputError
        No student has such a node or connection.
    """
    students = tuple(found for student in model.students if (found := _only(student, name)).nodes)
    if not students:
        known = dict.fromkeys(node.name for student in model.students for node in student.nodes)
        shown = [*list(known)[:MAX_ROWS], *(["..."] if len(known) > MAX_ROWS else [])]
        raise InputError(f"--layer {name!r}: no student has such a layer; known: {', '.join(shown)}")
    return replace(model, facts=(), provenance=(), refused=None, students=students)


def _only(student: StudentView, name: str) -> StudentView:
    own = name.removeprefix(f"{student.name}/")
    return replace(
        student,
        nodes=tuple(node for node in student.nodes if node.name == own),
        edges=tuple(edge for edge in student.edges if own in (edge.source, edge.target)),
        groups=tuple(group for group in student.groups if group.name == own),
        connections=tuple(c for c in student.connections if own in (c.source, c.target, *c.name.split("+"))),
        support=(),
        notes=tuple(note for note in student.notes if repr(own) in note),
    )
