"""The page of several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from sne_deploy.page.figures.runs import DetailedRun, bars, overlay
from sne_deploy.page.html.markup import Html, joined, table, tag
from sne_deploy.page.html.page import Section, page_html
from sne_deploy.report.side_by_side import SideBySide
from sne_deploy.report.side_by_side_table import cell

RUNS_NAME = "comparison.html"


def runs_html(found: SideBySide, runs: Sequence[DetailedRun]) -> str:
    """The page of several runs.

    Parameters
    ----------
    found : SideBySide
        Of the same runs.
    runs : sequence of DetailedRun
    """
    names = ", ".join(run.name for run in runs)
    lead = joined(tag("p", _sentence(remark), class_="answer") for remark in found.remarks)
    title = f"{len(runs)} runs side by side"
    return page_html(title, names, lead, [[overlay(runs), bars(found)], _table(found)], kind="Comparison")


def _sentence(remark: str) -> str:
    return f"{remark[:1].upper()}{remark[1:]}."


def _table(found: SideBySide) -> Section:
    """What differs from the first run is strong."""
    heads = ("per sample", *(run.name for run in found.runs))
    rows = [
        [row.metric, *(_cell(cell(row, index), differs=row.differs) for index in range(len(found.runs)))]
        for row in found.rows
    ]
    remark = "In brackets how far a run is from the first; lines that differ are strong."
    content = joined([table("Runs side by side", heads, rows), tag("p", remark, class_="remark")])
    return Section("runs", "All figures", content, "All figures")


def _cell(shown: str, *, differs: bool) -> Html | str:
    return tag("strong", shown) if differs else shown
