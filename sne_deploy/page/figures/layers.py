"""What figures with a row for each layer share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sne_deploy.neurons.table import MODELS
from sne_deploy.report.schema import LayerModel, ReportModel

NAMES: Mapping[str, str | tuple[str, str]] = {
    "student": "student",
    "layer": "layer",
    "kind": "kind",
    "neurons": ("neurons", ","),
}
"""What every tooltip begins with."""
STEP = 24
"""Pixels of a row."""


def layers_of(report: ReportModel) -> Iterator[tuple[dict[str, Any], LayerModel]]:
    """Every layer with the beginning of its row, in the order of students and of their layers."""
    for student in report.students:
        for layer in student.layers:
            names = {"row": f"{student.name} / {layer.name}", "student": student.name, "layer": layer.name}
            yield names | {"kind": layer.kind, "neurons": neurons(layer)}, layer


def neurons(layer: LayerModel) -> int:
    """How many a layer has."""
    number = 1
    for size in layer.shape:
        number *= size
    return number


def spiking(layer: LayerModel) -> bool:
    """Whether its neurons send spikes; those of a readout do not."""
    model = MODELS.get(layer.kind.rpartition("+")[2])
    return model is None or model.spiking


def rows_of(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Height and vertical axis of a figure with these rows."""
    order = [row["row"] for row in rows]
    scale, labels = {"domain": order}, {"labelLimit": 200}  # the end of a name tells layers apart
    axis = {"field": "row", "type": "nominal", "sort": order, "title": None, "scale": scale, "axis": labels}
    return {"height": STEP * len(order), "encoding": {"y": axis}}


def shown(**titles: str | tuple[str, str]) -> list[dict[str, str]]:
    """A tooltip: fields with their titles, or with titles and formats."""
    return [
        {"field": field, "title": title}
        if isinstance(title, str)
        else {"field": field, "title": title[0], "format": title[1]}
        for field, title in titles.items()
    ]
