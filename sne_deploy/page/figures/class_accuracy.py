"""How accurate every student and the ensemble are on each class."""

from __future__ import annotations

from typing import Any

from sne_deploy.page.details.class_accuracy import ClassAccuracyModel, OnClassesModel
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "class_accuracy", "Accuracy on each class"
MAX_WITH_TEXT = 12
"""Classes whose percentages can be read on a phone."""
ROW_PX = 30


def class_accuracy(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw how often each network is wrong on each class: one row for each of them."""
    found = details.class_accuracy
    if found is None:
        return Absent(NAME, TITLE, "the samples have no labels; give data with y")
    networks = [found.ensemble, *found.students]
    rows = [row for place, network in enumerate(networks) for row in _rows(found, place, network)]
    few = len(found.classes) <= MAX_WITH_TEXT
    spec = {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "height": ROW_PX * len(networks),
        "encoding": {
            "x": {
                "field": "class",
                "type": "nominal",
                "sort": None,
                "title": "class",
                "axis": {"labelOverlap": True, "labelAngle": 0, "ticks": few},
            },
            "y": {
                "field": "network",
                "type": "nominal",
                "sort": {"field": "place", "op": "min"},
                "title": None,
            },
        },
        "layer": _layers(few=few),
    }
    left = f" {found.left_out} classes on which it is better are left out." if found.left_out else ""
    caption = (
        f"Right samples of each class, in percent: of the ensemble on all {report.data.samples}, and of each "
        "student alone on those that it ran on. The fuller a cell, the more errors; it is missing where a "
        f"student ran on none.{left}"
    )
    return Figure(NAME, TITLE, caption, _description(found), spec)


def _rows(found: ClassAccuracyModel, place: int, network: OnClassesModel) -> list[dict[str, Any]]:
    """What one network did on the classes of which it ran on a sample."""
    return [
        {
            "network": network.name,
            "place": place,
            "class": str(index),
            "accuracy": correct / ran,
            "percent": 100.0 * correct / ran,
            "wrong": 1.0 - correct / ran,
            "correct": correct,
            "samples": ran,
        }
        for index, ran, correct in zip(found.classes, network.ran, network.correct, strict=True)
        if ran
    ]


def _layers(*, few: bool) -> list[dict[str, Any]]:
    cells = {
        "mark": {"type": "rect"},
        "encoding": {
            "fillOpacity": {
                "field": "wrong",
                "type": "quantitative",
                "scale": {"type": "sqrt", "domain": [0, 1], "range": [0.05, 0.6 if few else 1.0]},
                "legend": None,
            },
            "tooltip": [
                {"field": "network"},
                {"field": "class"},
                {"field": "accuracy", "type": "quantitative", "format": ".2%"},
                {"field": "correct", "type": "quantitative", "title": "right"},
                {"field": "samples", "type": "quantitative"},
            ],
        },
    }
    numbers = {
        "mark": {"type": "text"},
        "encoding": {"text": {"field": "percent", "type": "quantitative", "format": ".0f"}},
    }
    return [cells, numbers] if few else [cells]


def _description(found: ClassAccuracyModel) -> str:
    ensemble = found.ensemble
    rates = [right / ran for right, ran in zip(ensemble.correct, ensemble.ran, strict=True)]
    if min(rates) == max(rates):
        return f"The ensemble gets {min(rates):.1%} of the samples of every class right."
    worst = min(range(len(rates)), key=rates.__getitem__)
    return (
        f"The ensemble gets {min(rates):.1%} of the samples of class {found.classes[worst]} right, its worst "
        f"class, and {max(rates):.1%} of its best."
    )
