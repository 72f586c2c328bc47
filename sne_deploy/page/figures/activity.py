"""What each layer sends and what it costs: rates and SynOps."""

from __future__ import annotations

from typing import Any

from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.page.figures.layers import NAMES, layers_of, rows_of, shown, spiking
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "activity", "Rates and synaptic operations, layer by layer"
AS_RUN, IN_FLOAT = "as run", "in floating point"


def activity(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw a bar of SynOps and points of rates for each layer."""
    del details
    bars = [
        row | {"synops": layer.synops_per_sample}
        for row, layer in layers_of(report)
        if layer.synops_per_sample is not None
    ]
    points = [
        row | {"rate": rate, "how": how, "spikes": rate * report.data.timesteps * row["neurons"]}
        for row, layer in layers_of(report)
        if spiking(layer)
        for how, rate in ((AS_RUN, layer.rate), (IN_FLOAT, layer.rate_float))
        if rate is not None
    ]
    if not bars and not points:
        return Absent(NAME, TITLE, "no student ran on a sample; let the policy run more of them")
    spec = {
        "$schema": SCHEMA,
        **rows_of(row for row, _ in layers_of(report)),
        "layer": [_bars(bars), _points(points)],
        "resolve": {"scale": {"x": "independent"}},
    }
    return Figure(NAME, TITLE, _caption(report), _description(bars, points), spec)


def _bars(rows: list[dict[str, Any]]) -> dict[str, Any]:
    axis = {"orient": "bottom", "format": "~s", "tickCount": 6}
    x = {"field": "synops", "type": "quantitative", "title": "SynOps per sample (bars)", "axis": axis}
    return {
        "data": {"values": rows},
        "mark": {"type": "bar", "opacity": 0.55},
        "encoding": {"x": x, "tooltip": shown(**NAMES, synops=("SynOps per sample", ",.1f"))},
    }


def _points(rows: list[dict[str, Any]]) -> dict[str, Any]:
    axis = {"orient": "top", "grid": False, "tickCount": 6, "titleAnchor": "end"}  # begins over the names
    title = "spikes per neuron and step (points)"
    how = {"field": "how", "type": "nominal", "title": "rate", "scale": {"domain": [AS_RUN, IN_FLOAT]},
           "legend": {"orient": "top"}}  # fmt: skip
    rate, spikes = ("spikes per neuron and step", ".4f"), ("spikes per sample", ",.1f")
    return {
        "data": {"values": rows},
        "mark": {"type": "point", "size": 70, "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": "rate",
                "type": "quantitative",
                "title": title,
                "axis": axis,
                "scale": {"zero": True},
            },
            "shape": how,
            "color": how,
            "tooltip": shown(**NAMES, how="rate", rate=rate, spikes=spikes),
        },
    }


def _caption(report: ReportModel) -> str:
    """What is drawn, and which layers have no point or no bar."""
    layers = [layer for _, layer in layers_of(report)]
    text = "Means over the samples that a student ran on."
    readouts = sum(not spiking(layer) for layer in layers)
    if readouts:
        text += f" {readouts} of {len(layers)} layers are read out and send no spikes: no points."
    fed = sum(layer.synops_per_sample == 0 for layer in layers)
    if fed:
        text += f" {fed} had no SynOps: no spike arrived there, and what the host sends in is none."
    unknown = sum(layer.synops_per_sample is None for layer in layers)
    if unknown:
        text += f" {unknown} belong to students that ran on no sample: nothing is known of them."
    if all(layer.rate_float is None for layer in layers):
        text += " There is no reference in floating point."
    return text


def _description(bars: list[dict[str, Any]], points: list[dict[str, Any]]) -> str:
    found = []
    if bars:
        most = max(bars, key=lambda row: row["synops"])
        of = most["student"]  # others ran on other samples, so that their means do not add up
        total = sum(row["synops"] for row in bars if row["student"] == of)
        found.append(
            f"Most SynOps are those into {most['row']}: {most['synops']:,.0f} of the {total:,.0f} that {of} "
            "takes for a sample."
        )
    run = [row for row in points if row["how"] == AS_RUN]
    if run:
        low, high = (pick(run, key=lambda row: row["rate"]) for pick in (min, max))
        found.append(
            f"Rates are between {low['rate']:.3f} ({low['row']}) and {high['rate']:.3f} ({high['row']}) "
            "spikes per neuron and step."
        )
    return " ".join(found)
