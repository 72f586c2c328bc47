"""How many students each class needs."""

from __future__ import annotations

from typing import Any

from sne_deploy.page.details.model import Details
from sne_deploy.page.details.students_needed import ClassNeedModel, StudentsNeededModel
from sne_deploy.page.figure import NOT_KEPT, SCHEMA, Absent, Figure
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "students_needed", "How many students each kind of input needs"
TITLE_OF_STATIC = "How many students agree on each kind of input"
MAX_ORDINAL = 5
"""Students that have a colour each; more share a gradient."""
MAX_ROWS, ROW_PX, ALL_PX = 20, 22, 440
"""Classes that have a row of their own height; their height; that of all rows where there are more."""

AXIS_TITLES = {"ran": "students that ran", "agreed": "students that agree"}


def students_needed(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw, for each class, the shares of its samples by number of students."""
    found = details.students_needed
    if found is None:
        return Absent(NAME, TITLE, NOT_KEPT)
    if found.asked == 1:
        reason = "one student runs on every sample; an ensemble of several has a figure here"
        return Absent(NAME, TITLE, reason)
    few, ran = len(found.classes) <= MAX_ROWS, found.counted == "ran"
    bars = {
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "samples",
                "type": "quantitative",
                "stack": "normalize",
                "title": "share of the class's samples",
                "axis": {"format": ".0%"},
            },
            "color": _colour(found),
            "order": {"field": "students", "type": "quantitative"},
            "tooltip": [
                {"field": "class"},
                {"field": "students", "type": "quantitative", "title": AXIS_TITLES[found.counted]},
                {"field": "samples", "type": "quantitative"},
                {"field": "mean", "type": "quantitative", "format": ".3f", "title": "mean of the class"},
            ],
        },
    }
    means = {
        "mark": {"type": "text", "align": "left", "dx": 5},
        "encoding": {
            "x": {"datum": 1, "type": "quantitative"},
            "text": {"aggregate": "mean", "field": "mean", "type": "quantitative", "format": ".2f"},
        },
    }
    spec = {
        "$schema": SCHEMA,
        "data": {"values": [row for each in found.classes for row in _rows(each)]},
        "height": ROW_PX * len(found.classes) if few else ALL_PX,
        "encoding": {
            "y": {
                "field": "class",
                "type": "nominal",
                "sort": {"field": "mean", "op": "mean", "order": "descending" if ran else "ascending"},
                "title": "class" if found.by == "label" else "predicted class",
                "axis": {"labelOverlap": True, "ticks": few},
            }
        },
        "layer": [bars, means] if few else [bars],
    }
    return Figure(NAME, TITLE if ran else TITLE_OF_STATIC, _caption(report, found), _description(found), spec)


def _colour(found: StudentsNeededModel) -> dict[str, Any]:
    """From none, which is the faintest and of no bar where students ran, to all."""
    numbers = sorted({k for each in found.classes for k, n in enumerate(each.samples) if n})
    few = found.asked <= MAX_ORDINAL
    return {
        "field": "students",
        "type": "ordinal" if few else "quantitative",
        "scale": {"domain": list(range(found.asked + 1)) if few else [0, found.asked]},
        "title": AXIS_TITLES[found.counted],
        "legend": {"orient": "top", **({"values": numbers} if few else {})},
    }


def mean_students(found: ClassNeedModel) -> float:
    """Of the samples of one class."""
    return sum(k * n for k, n in enumerate(found.samples)) / sum(found.samples)


def _rows(found: ClassNeedModel) -> list[dict[str, Any]]:
    """One for each number of students that occurs."""
    mean = mean_students(found)
    return [
        {"class": str(found.index), "students": k, "samples": n, "mean": mean}
        for k, n in enumerate(found.samples)
        if n
    ]


def _caption(report: ReportModel, found: StudentsNeededModel) -> str:
    what = (
        f"Of each class's samples, how many of {found.asked} students {_why(report)}"
        if found.counted == "ran"
        else f"The policy is static: {found.asked} students run on every sample; how many of them "
        "alone predict what the ensemble does"
    )
    left = f" {found.left_out} easier classes are left out." if found.left_out else ""
    where = "beside it" if len(found.classes) <= MAX_ROWS else "shown on hover"
    kinds = "label" if found.by == "label" else "prediction, as there are no labels"
    return (
        f"{what}. All {report.data.samples} samples, by {kinds}, the hardest class first; each bar's "
        f"mean is {where}.{left}"
    )


def _why(report: ReportModel) -> str:
    """What made students run."""
    gated = report.policy is not None and report.policy.kind == "gate"
    return "the gate chose" if gated else "ran until the policy was sure"


def _description(found: StudentsNeededModel) -> str:
    most = max(found.classes, key=mean_students)
    least = min(found.classes, key=mean_students)
    verb = "run" if found.counted == "ran" else "agree"
    if mean_students(most) == mean_students(least):
        return f"On average {mean_students(most):.2f} students {verb} on every class."
    return (
        f"On average {mean_students(most):.2f} students {verb} on class {most.index}, and "
        f"{mean_students(least):.2f} on class {least.index}."
    )
