"""Which class was taken for which."""

from __future__ import annotations

from typing import Any

from sne_deploy.page.details.confusion import ConfusionModel
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "confusion", "Which class was taken for which"
MAX_WITH_TEXT = 12
"""Classes of a matrix whose counts can be read on a phone."""
MATRIX_PX, ROW_PX, LINE_PX = 420, 26, 18
"""Height of a matrix of many classes, of a row of one of few, of a line of a list."""

Rows = list[dict[str, Any]]


def confusion(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw the confusion matrix of the ensemble, or of very many classes the pairs that it confused most."""
    found = details.confusion
    if found is None:
        return Absent(NAME, TITLE, "the samples have no labels; give data with y")
    labelled = dict(zip(found.classes, found.labelled, strict=True))
    rows: Rows = [
        {
            "label": str(pair.label),
            "predicted": str(pair.predicted),
            "samples": pair.samples,
            "of_label": pair.samples / labelled[pair.label],
            "outcome": "right" if pair.label == pair.predicted else "wrong",
        }
        for pair in found.pairs
    ]
    return _matrix(report, found, rows) if found.whole else _list(report, found, rows)


def _matrix(report: ReportModel, found: ConfusionModel, rows: Rows) -> Figure:
    order = [str(each) for each in found.classes]
    few = len(order) <= MAX_WITH_TEXT
    axis = {"labelOverlap": True, "labelAngle": 0, "ticks": few}
    place: dict[str, Any] = {
        "x": {"field": "predicted", "type": "nominal", "scale": {"domain": order}, "axis": axis},
        "y": {"field": "label", "type": "nominal", "scale": {"domain": order}, "axis": axis},
    }
    place["x"]["title"], place["y"]["title"] = "predicted", "label"
    cells = {
        "mark": {"type": "rect"},
        "encoding": {
            "color": {
                "field": "outcome",
                "type": "nominal",
                "title": None,
                "scale": _outcomes(),
                "legend": {"orient": "top"},
            },
            "fillOpacity": {
                "field": "of_label",
                "type": "quantitative",
                "scale": {"type": "sqrt", "domain": [0, 1], "range": [0.08, 0.6] if few else [0.25, 1.0]},
                "legend": None,
            },
            "tooltip": _tooltip(),
        },
    }
    numbers = {"mark": {"type": "text"}, "encoding": {"text": {"field": "samples", "type": "quantitative"}}}
    spec = {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "height": ROW_PX * len(order) if few else MATRIX_PX,
        "encoding": place,
        "layer": [cells, numbers] if few else [cells],
    }
    errors = [row for row in rows if row["outcome"] == "wrong"]
    wrong = sum(row["samples"] for row in errors)
    most = ""
    if errors:
        worst = max(errors, key=lambda row: row["samples"])
        pair = f"{worst['label']} is taken for {worst['predicted']}"
        often = f"{worst['samples']} of its {round(worst['samples'] / worst['of_label'])} samples"
        alike = sum(row["samples"] == worst["samples"] for row in errors) - 1
        more = f", as often as {alike} other{'s' * (alike > 1)}" if alike else ""
        most = f" Most often {pair}: {often}{more}."
    caption = (
        f"All {report.data.samples} samples, as the ensemble predicted them. The fuller a cell, the larger "
        "its share of the samples with that label, by its square root, so that rare errors show. An empty "
        "cell is 0."
    )
    description = (
        f"Confusion matrix of {len(order)} classes: {wrong} of {report.data.samples} samples are wrong.{most}"
    )
    return Figure(NAME, TITLE, caption, description, spec)


def _list(report: ReportModel, found: ConfusionModel, rows: Rows) -> Figure:
    pairs = [{**row, "pair": f"{row['label']} as {row['predicted']}"} for row in rows]
    spec = {
        "$schema": SCHEMA,
        "data": {"values": pairs},
        "height": LINE_PX * len(pairs),
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "pair", "type": "nominal", "sort": None, "title": "label as prediction"},
            "x": {"field": "samples", "type": "quantitative", "title": "samples", "axis": {"tickMinStep": 1}},
            "color": {"field": "outcome", "type": "nominal", "scale": _outcomes(), "legend": None},
            "tooltip": _tooltip(),
        },
    }
    return Figure(
        NAME,
        TITLE,
        f"The {len(pairs)} most confused pairs of {len(found.classes)} classes, of all {report.data.samples} "
        "samples as the ensemble predicted them.",
        f"The {len(pairs)} most confused pairs of {len(found.classes)} classes.",
        spec,
    )


def _outcomes() -> dict[str, Any]:
    return {"domain": ["right", "wrong"]}


def _tooltip() -> list[dict[str, Any]]:
    return [
        {"field": "label"},
        {"field": "predicted"},
        {"field": "samples", "type": "quantitative"},
        {"field": "of_label", "type": "quantitative", "format": ".1%", "title": "of the label's samples"},
    ]
