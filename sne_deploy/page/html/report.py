"""``report.html``: one run."""

from __future__ import annotations

from pathlib import Path

from sne_deploy.files import ensure_folder, write_whole
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import NOT_KEPT, Absent, Figure
from sne_deploy.page.figures.table import FIGURES
from sne_deploy.page.html.lead import lead
from sne_deploy.page.html.page import page_html
from sne_deploy.page.html.sections import sections
from sne_deploy.report.file import Report

PAGE_NAME = "report.html"


def report_html(report: Report, details: Details | None) -> str:
    """The page of one run.

    Parameters
    ----------
    report : Report
    details : Details or None
        None where the run kept none: figures that need them then say so.
    """
    data = report.data
    where = f"{report.target}, {report.precision}, {report.hardware.name}"
    what = f"on {where}: {data.samples:,} samples of {data.name}, {data.timesteps} steps"
    below = sections(report, details)
    return page_html(report.model, what, lead(report), [report_figures(report, details), *below])


def report_figures(report: Report, details: Details | None) -> tuple[Figure | Absent, ...]:
    """All figures of a run, in the order of the page."""
    known = details
    if known is None:
        known = Details.model_construct(**dict.fromkeys(Details.model_fields))
    found = tuple(draw(report, known) for draw in FIGURES.values())
    if details is not None:
        return found
    return tuple(
        Absent(each.name, each.title, NOT_KEPT) if isinstance(each, Absent) else each for each in found
    )


def save_page(text: str, path: Path) -> Path:
    """Write a page atomically, in a folder that is made where it is missing; the file."""
    ensure_folder(path.parent)
    return write_whole(path, text.encode())
