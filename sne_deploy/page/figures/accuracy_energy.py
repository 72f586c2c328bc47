"""Accuracy against energy: the policy, its students, the first K of them, other thresholds, the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sne_deploy.page.details.alternatives import AlternativesModel
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.page.figures.axes import accuracy_axis, energy_axis
from sne_deploy.page.figures.tradeoff_rows import (
    ALONE,
    AS_IF,
    ASKED,
    BETWEEN,
    FIRST,
    IN_TURN,
    KINDS,
    NETWORK,
    OTHER,
    POLICY,
    TEACHER,
    Row,
    judged,
    name_of,
    network_rows,
    on_the_edge,
    teacher_rows,
)
from sne_deploy.report.schema import ReportModel
from sne_deploy.report.units import joules, percent

NAME, TITLE = "accuracy_energy", "Accuracy against energy"


def accuracy_energy(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw every policy that was judged, and what it is compared with."""
    found = details.alternatives
    if found is None:
        return Absent(NAME, TITLE, "the samples have no labels; give data with y")
    if any(point.energy_j is None for point in found.points):
        return Absent(NAME, TITLE, "no sample was run, so that no energy is known")
    rows = [*on_the_edge([*judged(found), *teacher_rows(report)]), *network_rows(report)]
    spec = {
        "$schema": SCHEMA,
        "height": 380,
        "data": {"values": rows},
        "layer": _layers(rows, found.samples),
    }
    return Figure(NAME, TITLE, _caption(report, found, rows), _description(report, found), spec)


def _layers(rows: Sequence[Row], samples: int) -> list[Row]:
    """From what lies below to what lies above."""
    there = {row["what"] for row in rows}
    kinds = [kind for kind in KINDS if kind in there]
    drawn = [row for row in rows if row["what"] != NETWORK]
    energies = [value for row in rows for value in (row["low_j"], row["high_j"])]
    legend = {
        "scale": {"domain": list(KINDS)},
        "title": None,
        "legend": {"orient": "bottom", "values": kinds},
    }
    x = {"x": energy_axis("energy_j", energies)}
    color = {"color": {"field": "what", "type": "nominal", **legend}}
    shape = {"shape": {"field": "what", "type": "nominal", **legend}}
    both = x | {"y": accuracy_axis("at", [row["at"] for row in drawn], samples)} | color
    ends = {"x": energy_axis("low_j", energies), "x2": {"field": "high_j"}}
    found = [
        _layer({"type": "rule", "strokeDash": [3, 3]}, x | _tooltip(rows, NETWORK), _are(NETWORK)),
        _layer(_LINE, both | {"order": {"field": "threshold", "type": "quantitative"}}, _are(OTHER, AS_IF)),
        _layer(_LINE, both | {"order": {"field": IN_TURN, "type": "quantitative"}}, _are(FIRST)),
        _layer({"type": "rule", "opacity": 0.5}, both | ends, _are(POLICY, FIRST, ALONE, TEACHER)),
    ]
    for kind in reversed(kinds):
        encoding = both | shape | _tooltip(rows, kind)
        found.append(_layer({"type": "point", "filled": True, **_SIZES[kind]}, encoding, _are(kind)))
    names = both | {"text": {"field": "label", "type": "nominal"}}
    found.append(_layer(_TEXT | {"baseline": "bottom", "dy": -4}, names, _are(ALONE, TEACHER)))
    found.append(_layer(_TEXT | {"baseline": "top", "dy": 5}, names, _are(POLICY)))
    return found if NETWORK in there else found[1:]


_NAMED = 8
"""Students that a caption names at most."""
_LINE = {"type": "line", "strokeWidth": 1, "opacity": 0.6}
_TEXT = {"type": "text", "align": "left", "dx": 6, "limit": 130}
_SIZES: Mapping[str, Row] = {
    POLICY: {"size": 140},
    **{kind: {"size": 80} for kind in (FIRST, ALONE, TEACHER)},
    **{kind: {"size": 18, "opacity": 0.7} for kind in (OTHER, AS_IF)},
}


def _layer(mark: Row, encoding: Row, which: Row) -> Row:
    return {"transform": [{"filter": which}], "mark": mark, "encoding": encoding}


def _are(*kinds: str) -> Row:
    return {"field": "what", "oneOf": list(kinds)}


def _tooltip(rows: Sequence[Row], kind: str) -> Row:
    """Named fields, those that the rows of the kind have."""
    named = ("what", "name", "threshold", "measure", "accuracy", "energy", BETWEEN, "SynOps", ASKED)
    first: Row = next((row for row in rows if row["what"] == kind), {})
    return {"tooltip": [{"field": name} for name in named if name in first]}


def _caption(report: ReportModel, found: AlternativesModel, rows: Sequence[Row]) -> str:
    whole = found.samples == report.data.samples
    said = []
    if any(point.interval_j is not None for point in found.points):
        said.append("Lines through points are the intervals in which the neurocores' energy is expected.")
    if whole:
        said.append(f"All {found.samples:,} samples.")
    else:
        said.append(
            f"Judged on the first {found.samples:,} of {report.data.samples:,} samples, the policy as run "
            "too, since the policy did not ask all students of every sample."
        )
    if found.kind is not None:
        of = "the gate's probability" if found.kind == "gate" else f"confidence ({found.measure})"
        shown = sum(point.role == "threshold" for point in found.points)
        said.append(
            f"Thresholds are of {of}: {shown} of them, at evenly spaced ranks of the {found.distinct:,} "
            "values that occur."
        )
    if found.as_if:
        said.append(
            "The run asked its students without a threshold; a cascade of them was not run but judged."
        )
    below = [f"{row['name']} ({row['accuracy']})" for row in rows if "at" in row and row["at"] < row["error"]]
    if below:
        more = f" and {len(below) - _NAMED} more" if len(below) > _NAMED else ""
        said.append(f"Drawn at the lower edge, but less accurate: {', '.join(below[:_NAMED])}{more}.")
    if report.teacher is not None:
        said.append("The teacher's energy is that of its arithmetic alone, without memory and idle power.")
    if any(row["what"] == NETWORK for row in rows):
        said.append("Dashed: networks that were counted and not run, so that no accuracy is known.")
    return " ".join(said)


def _description(report: ReportModel, found: AlternativesModel) -> str:
    own = found.points[0]
    said = [f"The policy as run: {percent(own.accuracy)} at {joules(own.energy_j)} an inference."]
    others = [point for point in found.points if point.role == "alone"]
    if others:
        best = max(others, key=lambda point: (point.accuracy, -(point.energy_j or 0.0)))
        figures = f"{percent(best.accuracy)} at {joules(best.energy_j)}"
        said.append(f"The best student alone, {best.students[0]}: {figures}.")
    cheaper = [
        point
        for point in found.points[1:]
        if point.accuracy >= own.accuracy and (point.energy_j or 0.0) < (own.energy_j or 0.0)
    ]
    if cheaper:
        least = min(cheaper, key=lambda point: point.energy_j or 0.0)
        figures = f"{percent(least.accuracy)} at {joules(least.energy_j)}"
        said.append(f"Cheaper without more errors: {name_of(least)}, {figures}.")
    teacher = report.teacher
    if teacher is not None and teacher.accuracy is not None:
        said.append(
            f"The teacher: {percent(teacher.accuracy)} at {joules(teacher.energy_j)}, its arithmetic alone."
        )
    return " ".join(said)
