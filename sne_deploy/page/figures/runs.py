"""Several runs in one figure: accuracy against energy, and their chief figures as bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sne_deploy.energy.figure import Figure as Joules
from sne_deploy.energy.figure import exact
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.page.figures.axes import accuracy_axis, energy_axis, headed_rows
from sne_deploy.page.figures.tradeoff_rows import ALONE, AS_IF, BETWEEN, OTHER, POLICY, judged
from sne_deploy.report.schema import ReportModel
from sne_deploy.report.side_by_side import SideBySide
from sne_deploy.report.units import count, joules, percent

OVERLAY, OVERLAY_TITLE = "runs_accuracy_energy", "Accuracy against energy"
BARS, BARS_TITLE = "runs_bars", "Chief figures"
ROW_PX = 24
_ROOM = 1.4
"""Of the longest bar, for the figures behind it."""
_AS_BARS = (
    "accuracy",
    "energy an inference",
    "SynOps",
    "spikes",
    "mean active students",
    "cores",
    "latency",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class DetailedRun:
    """A report, its details where the run kept them, and what it is called among others."""

    name: str
    report: ReportModel
    details: Details | None


def overlay(runs: Sequence[DetailedRun]) -> Figure | Absent:
    """Draw the policy of every run as its report has it, its students, and other thresholds where known."""
    rows = [row for run in runs for row in _rows(run)]
    if not rows:
        return Absent(OVERLAY, OVERLAY_TITLE, "no run has both an accuracy and an energy")
    energies = [value for row in rows for value in (row["low_j"], row["high_j"])]
    samples = max(run.report.data.samples for run in runs)
    names = {"domain": [run.name for run in runs]}
    legend = {"orient": "bottom"}
    both = {
        "x": energy_axis("energy_j", energies),
        "y": accuracy_axis("error", [row["error"] for row in rows], samples),
        "color": {"field": "run", "type": "nominal", "scale": names, "title": None, "legend": legend},
    }
    shape = {"field": "what", "type": "nominal", "scale": {"domain": _kinds(rows)}, "title": None}
    ends = {"x": energy_axis("low_j", energies), "x2": {"field": "high_j"}}
    order = {"order": {"field": "threshold", "type": "quantitative"}}
    spec = {
        "$schema": SCHEMA,
        "height": 380,
        "data": {"values": rows},
        "layer": [
            _layer({"type": "line", "strokeWidth": 1, "opacity": 0.6}, both | order, OTHER, AS_IF),
            _layer({"type": "rule", "opacity": 0.5}, both | ends, POLICY),
            *(
                _layer(
                    {"type": "point", "filled": True, "size": size},
                    both | {"shape": {**shape, "legend": legend}, "tooltip": _tooltip(rows, kind)},
                    kind,
                )
                for kind, size in ((OTHER, 18), (AS_IF, 18), (ALONE, 60), (POLICY, 160))
                if kind in _kinds(rows)
            ),
        ],
    }
    return Figure(OVERLAY, OVERLAY_TITLE, _caption(runs), _description(runs), spec)


def _rows(run: DetailedRun) -> Iterator[Row]:
    ensemble, found = run.report.ensemble, None if run.details is None else run.details.alternatives
    energy = ensemble.energy_per_sample_j
    if ensemble.accuracy is None or energy.total is None:
        return
    host = energy.host or 0.0
    ends = exact(energy.total)
    if energy.interval is not None:
        ends = Joules(energy.total, energy.interval[0] + host, energy.interval[1] + host)
    yield {
        "run": run.name,
        "what": POLICY,
        "name": run.name,
        "accuracy": percent(ensemble.accuracy),
        "error": 1.0 - ensemble.accuracy,
        "energy": joules(energy.total),
        "energy_j": energy.total,
        BETWEEN: f"{joules(ends.low)} and {joules(ends.high)}",
        "low_j": ends.low,
        "high_j": ends.high,
        "SynOps": count(ensemble.synops_per_sample),
    }
    for row in () if found is None else judged(found):
        if row["what"] in (OTHER, AS_IF) or (row["what"] == ALONE and row["error"] <= _worst(run)):
            yield {"run": run.name} | row


def _worst(run: DetailedRun) -> float:
    """The error above which a student alone would only press the others together: four times the run's."""
    return 4.0 * max(1.0 - (run.report.ensemble.accuracy or 0.0), 0.01)


def _kinds(rows: Sequence[Row]) -> list[str]:
    there = {row["what"] for row in rows}
    return [kind for kind in (POLICY, ALONE, OTHER, AS_IF) if kind in there]


def _layer(mark: Row, encoding: Row, *kinds: str) -> Row:
    which = {"field": "what", "oneOf": list(kinds)}
    return {"transform": [{"filter": which}], "mark": mark, "encoding": encoding}


def _tooltip(rows: Sequence[Row], kind: str) -> list[Row]:
    named = ("run", "what", "name", "threshold", "measure", "accuracy", "energy", BETWEEN, "SynOps")
    first = next(row for row in rows if row["what"] == kind)
    return [{"field": name} for name in named if name in first]


def _caption(runs: Sequence[DetailedRun]) -> str:
    said = [
        "Large points are runs as their reports have them, lines through them where energy is expected.",
        "Students alone that err more than four times as often as their ensemble are left out.",
    ]
    without = [run.name for run in runs if run.details is None or run.details.alternatives is None]
    if without:
        said.append(f"Without other thresholds, which no details.json has: {', '.join(without)}.")
    part = [
        f"{run.name} ({run.details.alternatives.samples:,})"
        for run in runs
        if run.details is not None
        and run.details.alternatives is not None
        and run.details.alternatives.samples < run.report.data.samples
    ]
    if part:
        said.append(f"Other thresholds are judged on the first samples alone: {', '.join(part)}.")
    return " ".join(said)


def _description(runs: Sequence[DetailedRun]) -> str:
    several = [
        f"{run.name}: {percent(run.report.ensemble.accuracy)} at "
        f"{joules(run.report.ensemble.energy_per_sample_j.total)} an inference"
        for run in runs
    ]
    return f"{'; '.join(several)}."


def bars(found: SideBySide) -> Figure:
    """Draw the chief figures of every run, each metric on a scale of its own from 0."""
    rows = [
        row for metric in found.rows if metric.metric in _AS_BARS for row in _bar_rows(found, metric.metric)
    ]
    names = [run.name for run in found.runs]
    color = {"field": "run", "type": "nominal", "scale": {"domain": names}, "legend": None}
    x = {"field": "of the most", "type": "quantitative", "axis": None, "scale": {"domain": [0, _ROOM]}}
    spec = {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "facet": headed_rows("metric"),
        "spec": {
            "height": {"step": ROW_PX},
            "encoding": {"y": {"field": "run", "type": "nominal", "sort": names, "title": None}},
            "layer": [
                {
                    "mark": {"type": "bar"},
                    "encoding": {
                        "x": x,
                        "color": color,
                        "tooltip": [{"field": name} for name in ("run", "metric", "value", "from the first")],
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 6},
                    "encoding": {"x": x, "text": {"field": "label", "type": "nominal"}},
                },
            ],
        },
        "spacing": 14,
    }
    differing = [metric.metric for metric in found.rows if metric.metric in _AS_BARS and metric.differs]
    described = f"Different: {', '.join(differing)}." if differing else "No difference in these figures."
    caption = "Means of a sample; in brackets how far a run is from the first. Each metric begins at 0."
    return Figure(BARS, BARS_TITLE, caption, described, spec)


def _bar_rows(found: SideBySide, metric: str) -> Iterator[Row]:
    row = next(each for each in found.rows if each.metric == metric)
    known = [value for value in row.values if value is not None]
    most = max(known, default=0.0)
    for run, value, shown, change in zip(found.runs, row.values, row.cells, row.changes, strict=True):
        if value is not None:
            yield {
                "run": run.name,
                "metric": metric,
                "place": _AS_BARS.index(metric),
                "value": shown,
                "of the most": value / most if most else 0.0,
                "from the first": change or "the same",
                "label": f"{shown} ({change})" if change else shown,
            }
