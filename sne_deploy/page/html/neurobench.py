"""The run under the names of NeuroBench's metrics, and what each of them counts here."""

from __future__ import annotations

from sne_deploy.page.details.model import Details
from sne_deploy.page.details.neurobench import Metric
from sne_deploy.page.html.markup import joined, table, tag
from sne_deploy.page.html.page import Section
from sne_deploy.report.units import ABSENT, count, percent

TITLE = "NeuroBench's metrics"
_FRACTIONS = {"ConnectionSparsity", "ActivationSparsity"}
_WHOLE = {"Footprint", "ParameterCount"}


def neurobench_section(details: Details | None) -> Section | None:
    """A row for each metric; None where the run kept no details."""
    if details is None:
        return None
    found = details.neurobench
    rows = [
        (each.name, *(_shown(each.name, one) for one in (*each.students, each.ensemble)))
        for each in found.metrics
    ]
    definitions = [part for each in found.metrics for part in (tag("dt", each.name), tag("dd", each.counts))]
    content = [
        table(TITLE, ("metric", *found.students, "ensemble"), rows),
        tag("p", f"Named as in {found.source}; {ABSENT} where it is not defined here.", class_="remark"),
        tag("details", tag("summary", "What each counts here"), tag("dl", *definitions, class_="notes")),
    ]
    return Section("neurobench", TITLE, joined(content), "NeuroBench")


def _shown(name: Metric, value: float | None) -> str:
    if value is None:
        return ABSENT
    if name == "ClassificationAccuracy":
        return percent(value)
    if name in _FRACTIONS:
        return f"{value:.4f}"
    return count(round(value)) if name in _WHOLE else f"{value:,.1f}"
