"""Which class was taken for which."""

from __future__ import annotations

from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "confusion", "Which class was taken for which"


def confusion(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw the confusion matrix of the ensemble."""
    found = details.confusion
    if found is None:
        return Absent(NAME, TITLE, "the samples have no labels; give data with y")
    rows = [
        {"label": str(label), "predicted": str(predicted), "samples": count}
        for label, counts in zip(found.classes, found.counts, strict=True)
        for predicted, count in zip(found.classes, counts, strict=True)
    ]
    order = [str(each) for each in found.classes]
    wrong = report.data.samples - sum(counts[k] for k, counts in enumerate(found.counts))
    spec = {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {"field": "predicted", "type": "nominal", "sort": order, "title": "predicted"},
            "y": {"field": "label", "type": "nominal", "sort": order, "title": "label"},
            "color": {"field": "samples", "type": "quantitative"},
            "tooltip": [{"field": name} for name in ("label", "predicted", "samples")],
        },
    }
    return Figure(
        NAME,
        TITLE,
        f"All {report.data.samples} samples, as the ensemble predicted them.",
        f"Confusion matrix of {len(order)} classes: {wrong} of {report.data.samples} samples are wrong.",
        spec,
    )
