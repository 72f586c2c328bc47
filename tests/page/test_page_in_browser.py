"""``report.html`` in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sne_deploy.page.details.model import load_details
from sne_deploy.page.figure import Figure
from sne_deploy.page.html.report import report_figures
from sne_deploy.report.file import load_report
from tests.page.browser import Browser

PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}
DRAWN = """return Array.from(document.querySelectorAll('[data-figure]'), each => [
    each.dataset.drawn, each.querySelectorAll('svg .mark-group ~ *, svg [class*=mark-] > *').length
        + each.querySelectorAll('canvas').length])"""


@pytest.fixture
def page(run_folder: Path) -> Path:
    return run_folder / "report.html"


def figures(folder: Path) -> list[Figure]:
    found = report_figures(load_report(folder), load_details(folder))
    return [each for each in found if isinstance(each, Figure)]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (375, False)])
def test_every_figure_is_drawn_and_nothing_is_wrong(browser: Browser, page: Path, width: int, dark: bool):
    browser.open(page, width=width, dark=dark)
    drawn = browser.run(DRAWN)
    assert len(drawn) == len(figures(page.parent))
    assert all(theme == ("dark" if dark else "light") and marks for theme, marks in drawn), drawn
    assert browser.logged() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.violations() == []


def shown_number(text: str) -> tuple[float, float]:
    """A number as it is shown, and half a unit of its last digit."""
    match = re.fullmatch(r"(-?[\d,]+(?:\.(\d+))?(?:e([-+]\d+))?) ?(%|MAC|([fpnum]?)(J|s|W))?", text)
    assert match, text
    number, decimals, exponent, unit, prefix, _ = match.groups()
    factor = 0.01 if unit == "%" else PREFIXES[prefix or ""]
    last = 10.0 ** (int(exponent or 0) - len(decimals or ""))
    return float(number.replace(",", "")) * factor, 0.5 * last * factor


def at(document: Any, path: str) -> Any:
    """What stands in a report at a path; names may have dots."""
    while path:
        if isinstance(document, list):
            key, _, path = path.partition(".")
            document = document[int(key)]
            continue
        key = max((k for k in document if path == k or path.startswith(f"{k}.")), key=len)
        document, path = document[key], path[len(key) + 1 :]
    return document


def test_every_number_is_the_reports_to_the_last_digit(browser: Browser, page: Path):
    browser.open(page)
    shown = browser.run(
        "return Array.from(document.querySelectorAll('[data-of]'), e => [e.dataset.of, e.textContent])"
    )
    report = json.loads((page.parent / "report.json").read_text())
    assert len(shown) > 50
    for path, text in shown:
        number, half = shown_number(text)
        assert abs(number - at(report, path)) <= half * (1 + 1e-9), (path, text)
