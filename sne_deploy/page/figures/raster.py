"""A raster of one sample through the layers."""

from __future__ import annotations

from typing import Any

from sne_deploy.page.details.model import Details
from sne_deploy.page.details.raster import RasterLayerModel, RasterModel
from sne_deploy.page.figure import NOT_KEPT, SCHEMA, Absent, Figure
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "raster", "The spikes of one sample"
ROW_PX, HEADING = 110, 0.24
"""Height of a layer's row; the part of it in which its name stands."""
LEAST = 1.0 / ROW_PX
"""Height of a spike in rows, at least: a pixel."""


def raster(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw time against neurons, layer below layer; of several students one is chosen in the chart."""
    found = details.raster
    if found is None:
        return Absent(NAME, TITLE, NOT_KEPT)
    layers = max((len(student.layers) for student in found.students), default=0)
    if not layers:
        return Absent(
            NAME, TITLE, "no layer of these students spikes; a network of spiking neurons has a raster"
        )
    several = len(found.students) > 1
    spec = {
        "$schema": SCHEMA,
        "params": [_choice(found)] if several else [],
        "data": {"values": _rows(found)},
        "transform": [{"filter": "datum.student == student"}] if several else [],
        "height": ROW_PX * layers,
        "encoding": {
            "x": {
                "field": "from",
                "type": "quantitative",
                "title": "step of the layer",
                "axis": {"tickMinStep": 1, "format": "d", "grid": False},
                "scale": {"domain": [-0.5, found.steps - 0.5], "nice": False, "zero": False},
            },
            "y": {
                "field": "top",
                "type": "quantitative",
                "scale": {"domain": [0, layers], "nice": False, "reverse": True},
                "axis": None,
            },
        },
        "layer": [_bands(found), _names(), _spikes()],
    }
    return Figure(NAME, TITLE, _caption(report, found), _description(found), spec)


def _choice(found: RasterModel) -> dict[str, Any]:
    """A student's number, chosen by its name."""
    numbers, names = list(range(len(found.students))), [student.name for student in found.students]
    bind = {"input": "select", "name": "student ", "options": numbers, "labels": names}
    return {"name": "student", "value": 0, "bind": bind}


def _rows(found: RasterModel) -> list[dict[str, Any]]:
    """One for each layer, with all of its spikes: silent layers have their place too."""
    return [
        {
            "student": number,
            "name": student.name,
            "layer": layer.name,
            "heading": f"{layer.name}: {_neurons(layer)}",
            "row": row,
            "neurons": layer.neurons,
            "every": layer.every,
            "from": -0.5,
            "step": [step for step, _ in layer.spikes],
            "neuron": [neuron for _, neuron in layer.spikes],
        }
        for number, student in enumerate(found.students)
        for row, layer in enumerate(student.layers)
    ]


def _neurons(layer: RasterLayerModel) -> str:
    one = "" if layer.every == 1 else f"1 in {layer.every} of "
    return f"{one}{layer.neurons:,} neurons"


def _bands(found: RasterModel) -> dict[str, Any]:
    """The place of each layer, from its first step to its last."""
    return {
        "transform": [
            {"calculate": f"datum.row + {HEADING}", "as": "top"},
            {"calculate": "datum.row + 1", "as": "bottom"},
        ],
        "mark": {"type": "rect", "opacity": 0.08},
        "encoding": {
            "x2": {"datum": found.steps - 0.5},
            "y2": {"field": "bottom"},
            "tooltip": [
                {"field": "name", "title": "student"},
                {"field": "layer"},
                {"field": "neurons", "type": "quantitative"},
            ],
        },
    }


def _names() -> dict[str, Any]:
    return {
        "transform": [{"calculate": f"datum.row + {HEADING} / 2", "as": "top"}],
        "mark": {"type": "text", "align": "left", "baseline": "middle", "limit": 320},
        "encoding": {"text": {"field": "heading", "type": "nominal"}},
    }


def _spikes() -> dict[str, Any]:
    """A box for each spike, as long as its step and as high as the neurons that it stands for."""
    height = f"max({LEAST}, {1 - HEADING} * datum.every / datum.neurons)"
    return {
        "transform": [
            {"flatten": ["step", "neuron"]},
            {"filter": "isValid(datum.step)"},
            {"calculate": "datum.step - 0.45", "as": "from"},
            {"calculate": "datum.step + 0.45", "as": "to"},
            {
                "calculate": f"datum.row + {HEADING} + {1 - HEADING} * datum.neuron / datum.neurons",
                "as": "top",
            },
            {"calculate": f"min(datum.row + 1, datum.top + {height})", "as": "bottom"},
        ],
        "mark": {"type": "rect"},
        "encoding": {
            "x2": {"field": "to"},
            "y2": {"field": "bottom"},
            "tooltip": [
                {"field": "layer"},
                {"field": "neuron", "type": "quantitative"},
                {"field": "step", "type": "quantitative"},
            ],
        },
    }


def _caption(report: ReportModel, found: RasterModel) -> str:
    label = "" if found.label is None else f" of class {found.label},"
    run = "1 student runs" if len(found.students) == 1 else f"{len(found.students)} students run"
    left = ""
    if any(layer.every > 1 for student in found.students for layer in student.layers):
        left += " Of large layers neurons are shown at even distances, from the first."
    if found.steps < found.all_steps:
        left += f" The first {found.steps} of {found.all_steps} steps are shown."
    if found.left_out:
        left += f" {found.left_out} more layers are left out."
    return (
        f"Sample {found.sample} of {report.data.samples},{label} predicted as {found.predicted}: the first "
        f"on which {run}; the mean is {found.mean_students:.2f}. Rightwards each layer's own steps, from 0; "
        f"downwards its neurons. Layers that integrate without spiking are left out.{left}"
    )


def _description(found: RasterModel) -> str:
    said = "; ".join(
        f"{student.name}, which predicts {student.predicted}: "
        + ", ".join(f"{len(layer.spikes)} in {layer.name}" for layer in student.layers)
        for student in found.students
    )
    return f"Spikes shown of sample {found.sample}: {said}."
