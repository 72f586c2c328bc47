"""Examples of inputs, from those that few students decide to those that need many."""

from __future__ import annotations

from typing import Any

from sne_deploy.page.details.model import Details
from sne_deploy.page.details.students_needed import RIGHT, ExampleModel, StudentsNeededModel
from sne_deploy.page.figure import NOT_KEPT, SCHEMA, Absent, Figure
from sne_deploy.page.figures.students_needed import AXIS_TITLES
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "examples", "Examples of easy and hard inputs"
PICTURE_PX, WRITING_PX = 60, 36
"""Side of the square that a picture lies in; height of what is written below it."""

_DRAWN = {
    "image": "",
    "summed": " A sample is drawn as its sum over time.",
    "series": " Time goes from left to right, each row is a channel.",
    "vector": " A sample is a vector, drawn one value after the other, in rows.",
}


def examples(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw the pictures, a row for each number of students."""
    found = details.students_needed
    if found is None:
        return Absent(NAME, TITLE, NOT_KEPT)
    place = {
        "x": {"field": "place", "type": "ordinal", "axis": None},
        "y": {
            "field": "students",
            "type": "ordinal",
            "title": AXIS_TITLES[found.counted],
            "sort": "ascending" if found.counted == "ran" else "descending",
        },
    }
    shape = max(example.picture.height / example.picture.width for example in found.examples)
    drawn_px = round(PICTURE_PX * min(1.0, shape))
    pictures = {
        "mark": {"type": "image", "width": PICTURE_PX, "height": PICTURE_PX, "aspect": True, "yOffset": -8},
        "encoding": {
            "url": {"field": "image", "type": "nominal"},
            "tooltip": [
                {"field": name, "type": "quantitative" if name == "sample" else "nominal"}
                for name in ("image", "sample", "label", "predicted", "outcome")
                if found.by == "label" or name in ("image", "sample", "predicted")
            ],
        },
    }
    texts = {
        "mark": {"type": "text", "dy": drawn_px // 2 + 6},
        "encoding": {"text": {"field": "text", "type": "nominal"}},
    }
    rows = _rows(found)
    spec = {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "height": (drawn_px + WRITING_PX) * len({row["students"] for row in rows}),
        "encoding": place,
        "layer": [pictures, texts],
    }
    return Figure(NAME, TITLE, _caption(report, found), _description(found), spec)


def _rows(found: StudentsNeededModel) -> list[dict[str, Any]]:
    """One for each example, in the place that it has in its row."""
    rows: list[dict[str, Any]] = []
    for example in found.examples:
        outcome = _outcome(example)
        same = sum((row["students"], row["outcome"]) == (example.students, outcome) for row in rows)
        rows.append(
            {
                "students": example.students,
                "place": same + RIGHT * (outcome == "wrong"),
                "sample": example.sample,
                "label": None if example.label is None else str(example.label),
                "predicted": str(example.predicted),
                "outcome": outcome,
                "text": _text(example),
                "image": f"data:image/png;base64,{example.picture.png}",
            }
        )
    return rows


def _outcome(example: ExampleModel) -> str | None:
    if example.label is None:
        return None
    return "right" if example.label == example.predicted else "wrong"


def _text(example: ExampleModel) -> str:
    if example.label is None:
        return f"as {example.predicted}"
    return (
        f"{example.label}, right"
        if _outcome(example) == "right"
        else f"{example.label} as {example.predicted}"
    )


def _caption(report: ReportModel, found: StudentsNeededModel) -> str:
    which = (
        "the first two that the ensemble gets right and the first two that it gets wrong, as label and "
        "prediction"
        if found.by == "label"
        else "the first four, with the prediction"
    )
    return (
        f"For each number of {AXIS_TITLES[found.counted]}, of {report.data.samples} samples in their order: "
        f"{which}.{_DRAWN[found.drawn]} Large samples are drawn smaller."
    )


def _description(found: StudentsNeededModel) -> str:
    wrong = sum(_outcome(example) == "wrong" for example in found.examples)
    numbers = sorted({example.students for example in found.examples})
    span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    told = f", {wrong} of them wrong" if found.by == "label" else ""
    counted = f"{AXIS_TITLES[found.counted]}, of {found.asked}: {span}."
    return f"{len(found.examples)} samples as small pictures{told}; {counted}"
