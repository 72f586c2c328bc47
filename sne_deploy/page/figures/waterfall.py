"""Where accuracy is lost: from the teacher to students in floating point, to integers, to the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.report.schema import ReportModel
from sne_deploy.report.units import percent

NAME, TITLE = "waterfall", "Where accuracy is lost"
ROW_PX = 48
FLOAT, INTEGERS, POLICY = "float", "integers", "policy"
ALL = " (all students)"
"""Behind what came before a policy that asks fewer."""
ESTIMATED = "estimated"
_ROUNDING = "integers and what rounding took, measured with the policy"
EXACT = 1e-9
"""By which sums of measured differences may miss."""


@dataclass(frozen=True)
class Level:
    """An accuracy on the way.

    Attributes
    ----------
    name : str
    accuracy : float
    how : str
        How it was found.
    """

    name: str
    accuracy: float
    how: str


def waterfall(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw every step's loss in points of accuracy."""
    if report.ensemble.accuracy is None:
        return Absent(NAME, TITLE, "the samples have no labels; give data with y")
    levels = levels_of(report, details)
    if len(levels) < 2 and _policy_loss(report, details) is not None:
        return Absent(NAME, TITLE, "what was estimated from the first samples is no accuracy; compare more")
    if len(levels) < 2:
        return Absent(
            NAME,
            TITLE,
            "there is nothing to compare with: no teacher (--teacher FILE.onnx), no floating point, and all "
            "students were asked on every sample",
        )
    rows = [_row(level, before) for level, before in zip(levels, (None, *levels), strict=False)]
    spec = {
        "$schema": SCHEMA,
        "height": ROW_PX * len(rows),
        "data": {"values": rows},
        "encoding": {
            "y": {
                "field": "step",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 160},
            }
        },
        "layer": _layers(rows),
    }
    return Figure(NAME, TITLE, _caption(report, details, levels), _description(levels), spec)


def levels_of(report: ReportModel, details: Details) -> tuple[Level, ...]:
    """Those that are known; the last is the report's accuracy.

    What was not measured on all samples is estimated, and left out where that is no accuracy.
    """
    accuracy, fidelity = report.ensemble.accuracy, report.fidelity
    assert accuracy is not None  # noqa: S101  there are labels
    policy = _policy_loss(report, details)
    everyone = accuracy + (policy or 0.0)
    found = []
    if report.teacher is not None and report.teacher.accuracy is not None:
        found.append(Level("teacher", report.teacher.accuracy, "measured"))
    of = "" if policy is None else ALL
    computed = _computed(report) + of
    if fidelity is not None and fidelity.float_accuracy is not None:
        rounding = fidelity.float_accuracy - accuracy
        how = "measured" if policy is None else f"{ESTIMATED}: {_ROUNDING}"
        if _is_accuracy(everyone) and _is_accuracy(everyone + rounding):
            found.append(Level(FLOAT + of, everyone + rounding, how))
    if policy is not None:
        if _is_accuracy(everyone):
            found.append(Level(computed, everyone, _how_everyone(report, details)))
        found.append(Level(POLICY, accuracy, "measured"))
    else:
        found.append(Level(computed, accuracy, "measured"))
    return tuple(found)


def _computed(report: ReportModel) -> str:
    return INTEGERS if report.precision == "fixed" else FLOAT


def _is_accuracy(value: float) -> bool:
    """Whether a sum of measured differences is one, but for rounding."""
    return -EXACT <= value <= 1.0 + EXACT


def _how_everyone(report: ReportModel, details: Details) -> str:
    found = details.alternatives
    if found is None or found.samples >= report.data.samples:
        return "measured"
    return f"{ESTIMATED}: the policy's accuracy and what it took of the first {found.samples:,} samples"


def _policy_loss(report: ReportModel, details: Details) -> float | None:
    """What asking fewer students takes, on the samples of the alternatives; None where all are asked."""
    found = details.alternatives
    if found is None or report.ensemble.mean_active_students == len(report.students):
        return None
    everyone = next((each for each in found.points if _is_all(each.students, each.role, report)), None)
    return None if everyone is None else everyone.accuracy - found.points[0].accuracy


def _is_all(students: tuple[str, ...], role: str, report: ReportModel) -> bool:
    return role == "first" and len(students) == len(report.students)


def _row(level: Level, before: Level | None) -> dict[str, Any]:
    change = 0.0 if before is None else level.accuracy - before.accuracy
    points = "" if before is None else f"{100 * change:+.2f} points".replace("-", "\u2212")
    return {
        "step": level.name,
        "accuracy": level.accuracy,
        "percent": percent(level.accuracy),
        "before": level.accuracy if before is None else before.accuracy,
        "change": points,
        "what": "loss" if change < 0 else "gain",
        "label": f"{percent(level.accuracy)}  {points}".strip(),
        "how": level.how,
    }


def _layers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lowest, highest = (pick(row["accuracy"] for row in rows) for pick in (min, max))
    margin = max(highest - lowest, 0.005)
    axis = {
        "field": "accuracy",
        "type": "quantitative",
        "title": "accuracy",
        "axis": {"format": ".2~%", "tickCount": 4},
        "scale": {
            "zero": False,
            "nice": False,
            "domain": [max(0.0, lowest - 0.2 * margin), min(1.0, highest + 0.2 * margin)],
        },
    }
    tooltip = [{"field": name} for name in ("step", "percent", "change", "how")]
    kinds = {"domain": ["loss", "gain"]}
    color = {"field": "what", "type": "nominal", "scale": kinds, "legend": None}
    return [
        {
            "mark": {"type": "bar", "height": 14},
            "encoding": {"x": axis, "x2": {"field": "before"}, "color": color, "tooltip": tooltip},
        },
        {"mark": {"type": "tick", "thickness": 3, "size": 20}, "encoding": {"x": axis, "tooltip": tooltip}},
        {
            "mark": {"type": "text", "align": "right", "dy": -19},
            "encoding": {"x": {"value": "width"}, "text": {"field": "label", "type": "nominal"}},
        },
    ]


def _caption(report: ReportModel, details: Details, levels: tuple[Level, ...]) -> str:
    samples = f"{report.data.samples:,}"
    said = [f"Each bar is one step's loss or gain; the last accuracy is that of all {samples} samples."]
    names = [level.name for level in levels]
    if "teacher" not in names:
        said.append("Without a teacher (--teacher FILE.onnx) its step is left out.")
    compared = report.fidelity is not None and report.fidelity.float_accuracy is not None
    if not compared and report.precision == "fixed":
        said.append("Without a run in floating point beside it, the step to integers is left out.")
    found = details.alternatives
    if POLICY in names and found is not None:
        if found.samples < report.data.samples:
            said.append(f"What the policy takes is measured on the first {found.samples:,} samples.")
        known = {FLOAT + ALL: compared, _computed(report) + ALL: True}
        beyond = [name for name, wanted in known.items() if wanted and name not in names]
        if beyond:
            said.append(f"Estimates that are no accuracy are left out: {' and '.join(beyond)}.")
        if report.fidelity is not None and report.fidelity.float_accuracy is not None and not beyond:
            said.append(
                "What rounding takes is measured with the policy in both "
                f"({percent(report.fidelity.float_accuracy)} in floating point), and added to all students' "
                "accuracy as integers, so that the steps add up."
            )
    return " ".join(said)


def _description(levels: tuple[Level, ...]) -> str:
    steps = [f"{level.name} {percent(level.accuracy)}{_mark(level)}" for level in levels]
    return f"{', then '.join(steps)}."


def _mark(level: Level) -> str:
    return f" ({ESTIMATED})" if level.how.startswith(ESTIMATED) else ""
