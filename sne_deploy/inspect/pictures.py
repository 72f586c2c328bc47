"""One picture per student."""

from __future__ import annotations

import os
from pathlib import Path

from sne_deploy.errors import OutputError
from sne_deploy.files import is_folder, staged_folder, write_whole
from sne_deploy.inspect.numbers import seconds, shape_text
from sne_deploy.inspect.picture import Box, Link, graph_picture
from sne_deploy.inspect.views import ModelView, NodeView, StudentView

LINE_LENGTH = 34
"""Characters of a box's line, where its parts can be divided so."""


def student_picture(student: StudentView) -> str:
    """A student's graph as an SVG document."""
    boxes = [Box(node.name, tuple(_lines(node)), node.kind) for node in student.nodes]
    links = [Link(edge.source, edge.target, edge.label, edge.last_step) for edge in student.edges]
    notes = [", ".join(totals(student))]
    if any(link.dashed for link in links):
        notes.append("dashed: carries the step before")
    return graph_picture(student.name, boxes, links, notes)


def totals(student: StudentView) -> list[str]:
    """A student's size in words."""
    found = [f"{student.neurons:,} neurons", f"{student.parameters:,} parameters"]
    if student.synapses is not None:
        found.append(f"{student.synapses:,} synapses")
    return [*found, *([f"dt {seconds(student.dt_s)}"] if student.dt_s else [])]


def write_pictures(model: ModelView, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write every student's picture: to a ``.svg`` file for one student, else into a folder.

    Raises
    ------
    OutputError
        Several students and one file; a graph too large; or the file or folder cannot be written.
    """
    wanted = Path(path)
    if wanted.suffix == ".svg" and not is_folder(wanted):
        if len(model.students) > 1:
            raise OutputError(f"--svg {wanted}: the model has {len(model.students)} students; give a folder")
        return (write_whole(wanted, student_picture(model.students[0]).encode()),)
    with staged_folder(wanted) as stage:
        for student in model.students:
            write_whole(stage / f"{student.name}.svg", student_picture(student).encode())
    return tuple(wanted / f"{student.name}.svg" for student in model.students)


def _lines(node: NodeView) -> list[str]:
    lines = [f"{node.type} {shape_text(node.shape)}"]
    if node.neurons:
        lines[0] += f": {node.neurons:,} neuron{'' if node.neurons == 1 else 's'}"
    counts = [f"{node.parameters:,} parameters"] if node.parameters and node.kind == "map" else []
    return [*lines, *_wrapped([*(node.detail.split(", ") if node.detail else []), *counts])]


def _wrapped(parts: list[str]) -> list[str]:
    """Join parts to lines of about one width."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) <= LINE_LENGTH:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines
