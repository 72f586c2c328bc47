"""How well each layer's spikes agree with floating point, and its worst neuron's."""

from __future__ import annotations

from typing import Any

from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.page.figures.layers import NAMES, layers_of, rows_of, shown
from sne_deploy.report.schema import LayerModel, ReportModel

NAME, TITLE = "fidelity", "How far each layer is from floating point"
LAYER, WORST = "layer", "its worst neuron"


def fidelity(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw the agreement of each layer's spikes, and a line to its worst neuron's."""
    del details
    found = [
        row | _figures(layer, layer.spike_agreement)
        for row, layer in layers_of(report)
        if layer.spike_agreement is not None
    ]
    if not found:
        reason = "this is the run in floating point" if report.precision == "float" else (
            "the run was compared with no floating point; run a model.pt or .nir, whose numbers are real, "
            "and leave fidelity on"
        )  # fmt: skip
        return Absent(NAME, TITLE, reason)
    points = [
        {**row, "of": of, "at": row[field]}
        for row in found
        for of, field in ((LAYER, "agreement"), (WORST, "worst"))
        if row[field] is not None
    ]
    lines = [row for row in found if row["worst"] is not None]
    spec = {
        "$schema": SCHEMA,
        **rows_of(found),
        "layer": [_lines(lines), _points(points)],
    }
    return Figure(NAME, TITLE, _caption(report, len(found)), _description(report, found), spec)


def _figures(layer: LayerModel, agreement: float) -> dict[str, Any]:
    """Numbers as numbers where they are drawn; as text where they may be missing."""
    worst, snr, differing = layer.worst_neuron, layer.quantisation_snr_db, layer.spikes_differing_per_sample
    return {
        "agreement": agreement,
        "worst": None if worst is None else worst.spike_agreement,
        "worst_neuron": "none has spikes enough"
        if worst is None
        else f"{worst.index}: {worst.spike_agreement:.1%}",
        "rate": _text(layer.rate, ".4f"),
        "rate_float": _text(layer.rate_float, ".4f"),
        "differing": _text(differing, ",.2f"),
        "snr": "exact, or nothing to quantise" if snr is None else f"{snr:.1f} dB",
        "clipped": f"{layer.saturated_weights:,} of {layer.weights or 0:,}",
    }


def _text(value: float | None, form: str) -> str:
    return "not known" if value is None else format(value, form)


def _lines(rows: list[dict[str, Any]]) -> dict[str, Any]:
    x = {"field": "worst", "type": "quantitative"}
    return {
        "data": {"values": rows},
        "mark": {"type": "rule", "opacity": 0.5, "tooltip": False},
        "encoding": {"x": x, "x2": {"field": "agreement"}},
    }


def _points(rows: list[dict[str, Any]]) -> dict[str, Any]:
    of = {"field": "of", "type": "nominal", "title": None, "scale": {"domain": [LAYER, WORST]},
          "legend": {"orient": "top"}}  # fmt: skip
    x = {"field": "at", "type": "quantitative", "title": "spikes that agree in time",
         "axis": {"format": ".0%", "tickCount": 6}, "scale": {"zero": False, "domainMax": 1}}  # fmt: skip
    tooltip = shown(
        **NAMES,
        agreement=("spikes that agree", ".2%"),
        worst_neuron="worst neuron",
        rate="rate as run",
        rate_float="rate in floating point",
        differing="spikes that differ per sample",
        snr="weights, signal to quantisation noise",
        clipped="weights that were clipped",
    )
    return {
        "data": {"values": rows},
        "mark": {"type": "point", "filled": True, "size": 80},
        "encoding": {"x": x, "shape": of, "color": of, "tooltip": tooltip},
    }


def _caption(report: ReportModel, drawn: int) -> str:
    text = (
        "Of the spikes that either run sent, the fraction that both sent in the same step; and that of the "
        "worst neuron among those with spikes enough to tell."
    )
    left_out = sum(1 for _ in layers_of(report)) - drawn
    return (
        f"{text} {left_out} layers that send no spikes, or ran on no sample, are left out."
        if left_out
        else text
    )


def _description(report: ReportModel, found: list[dict[str, Any]]) -> str:
    least = min(found, key=lambda row: row["agreement"])
    text = (
        f"The least of {len(found)} layers is {least['row']}: {least['agreement']:.1%} of its spikes agree."
    )
    both = report.fidelity
    if both is not None:
        text += f" The predicted class is the same on {both.agreement:.1%} of the samples."
    return text
