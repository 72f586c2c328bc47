"""What the figure of accuracy against energy draws, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sne_deploy.energy.figure import Figure as Joules
from sne_deploy.energy.figure import exact
from sne_deploy.energy.processor import ARITHMETIC
from sne_deploy.page.details.alternatives import AlternativeModel, AlternativesModel
from sne_deploy.report.schema import ReportModel
from sne_deploy.report.units import count, joules, percent

ALONE, FIRST, OTHER = "a student alone", "the first students", "other thresholds"
AS_IF, POLICY, TEACHER = "if run as a cascade", "the policy, as run", "teacher, arithmetic alone"
NETWORK = "other network, accuracy not known"
KINDS = (POLICY, FIRST, ALONE, TEACHER, OTHER, AS_IF)
"""In the order of their colours."""
BETWEEN, ASKED = "expected between", "mean active students"
IN_TURN = "students in turn"
"""The field of those rows that the line through the first K students joins."""
_LEAST = 0.002
"""Of accuracy, that the axis shows below what matters."""
Row = dict[str, Any]


def on_the_edge(rows: Sequence[Row]) -> list[Row]:
    """Where each row is drawn: a student alone that is far worse than all else stands at the lower edge."""
    others = [row["error"] for row in rows if row["what"] != ALONE]
    limit = max(others) + max(0.3 * (max(others) - min(others)), _LEAST)
    return [
        row | {"at": row["error"]} if row["error"] <= limit else row | {"at": limit, "label": ""}
        for row in rows
    ]


def judged(found: AlternativesModel) -> Iterator[Row]:
    """Every policy; the first K students begin with the first alone."""
    alone = {point.students[0]: point for point in found.points if point.role == "alone"}
    firsts = [point for point in found.points if point.role == "first"]
    if firsts:
        for place, point in enumerate([alone[firsts[0].students[0]], *firsts], 1):
            yield _row(FIRST, point, found) | {IN_TURN: place}
    for point in found.points:
        if point.role == "policy":
            yield _row(POLICY, point, found) | {"label": "policy"}
        elif point.role == "alone":
            yield _row(ALONE, point, found) | {"label": name_of(point)}
        elif point.role == "threshold":
            yield _row(AS_IF if found.as_if else OTHER, point, found)


def _if(**fields: Any) -> Row:
    """Those that are not None: a row without a field has none in its tooltip."""
    return {name: value for name, value in fields.items() if value is not None}


def name_of(point: AlternativeModel) -> str:
    """What tells a policy from the others of its kind."""
    if point.role == "threshold":
        return f"threshold {point.threshold:g}"
    if point.role == "policy" and point.threshold is not None:
        return f"the policy, threshold {point.threshold:g}"
    return " + ".join(point.students)


def _row(what: str, point: AlternativeModel, found: AlternativesModel) -> Row:
    assert point.energy_j is not None  # noqa: S101  looked at before
    host = point.host_j or 0.0
    low, high = point.interval_j or (point.energy_j - host, point.energy_j - host)
    measure = None if point.threshold is None else found.measure or "the gate's probability"
    return {
        "what": what,
        "name": name_of(point),
        "label": "",
        **_if(threshold=point.threshold, measure=measure),
        "accuracy": percent(point.accuracy),
        "error": 1.0 - point.accuracy,
        "energy": joules(point.energy_j),
        "energy_j": point.energy_j,
        BETWEEN: f"{joules(low + host)} and {joules(high + host)}",
        "low_j": low + host,
        "high_j": high + host,
        "SynOps": count(point.synops),
        ASKED: f"{point.mean_active_students:.3f}".rstrip("0").rstrip("."),
    }


def teacher_rows(report: ReportModel) -> Iterator[Row]:
    """At the arithmetic of the hardware file, and of each processor that is arithmetic alone."""
    teacher = report.teacher
    if teacher is None or teacher.accuracy is None:
        return
    known = {"accuracy": percent(teacher.accuracy), "error": 1.0 - teacher.accuracy}
    own = exact(teacher.energy_j)
    yield _arithmetic_row(TEACHER, "teacher", own) | known | {"label": "teacher"}
    for _, name, energy in _arithmetic(report, teachers=True):
        if energy != own:
            yield _arithmetic_row(TEACHER, f"teacher, {name}", energy) | known


def network_rows(report: ReportModel) -> Iterator[Row]:
    """Networks that were counted and not run: an energy without an accuracy."""
    for network, name, energy in _arithmetic(report, teachers=False):
        yield _arithmetic_row(NETWORK, f"{network}, {name}", energy)


def _arithmetic_row(what: str, name: str, energy: Joules) -> Row:
    return {
        "what": what,
        "name": name,
        "label": "",
        "energy": joules(energy.value),
        "energy_j": energy.value,
        BETWEEN: f"{joules(energy.low)} and {joules(energy.high)}",
        "low_j": energy.low,
        "high_j": energy.high,
    }


def _arithmetic(report: ReportModel, *, teachers: bool) -> Iterator[tuple[str, str, Joules]]:
    """Network, processor and joules, of the teacher or of the others."""
    model = report.comparison
    if model is None:
        return
    alone = {each.name for each in model.processors if each.kind == ARITHMETIC}
    own = report.teacher is not None
    for index, network in enumerate(model.networks):
        if (own and index == 0) == teachers:
            for row in network.rows:
                if row.processor in alone:
                    yield network.name, row.processor, row.theirs_j
