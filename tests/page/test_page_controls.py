"""What a reader does with the page: pointing, tapping, another theme, print; and what hostile names do."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sne_deploy.page.details.model import load_details
from sne_deploy.page.figure import Figure
from sne_deploy.page.html.markup import Html
from sne_deploy.page.html.page import page_html
from sne_deploy.page.html.report import report_html, save_page
from sne_deploy.report.file import Report, load_report
from tests.page.browser import Browser

THEMES = "return [...new Set(Array.from(document.querySelectorAll('[data-figure]'), e => e.dataset.drawn))]"
EMPTY = "return [...document.querySelectorAll('.chart svg image')].filter(e => !e.href.baseVal).length"
TIP = "const tip = document.querySelector('.tip'); return tip.hidden ? '' : tip.textContent"


@pytest.fixture
def page(run_folder: Path) -> Path:
    return run_folder / "report.html"


def cell(browser: Browser) -> tuple[float, float]:
    """The middle of a mark that has something to say, on the screen."""
    script = """
        const marks = document.querySelectorAll('#figure-confusion ~ .chart svg .mark-rect path');
        const mark = Array.from(marks).find(each => each.__data__ && each.__data__.tooltip);
        mark.scrollIntoView({block: 'center'});
        const box = mark.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];"""
    browser.run(script)
    browser.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    x, y = browser.run(script)
    return x, y


def test_hovering_shows_what_is_there(browser: Browser, page: Path):
    browser.open(page)
    x, y = cell(browser)
    browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x + 1, y=y)
    shown = browser.until(TIP)
    assert "label" in shown
    assert "samples" in shown
    browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    browser.until("return document.querySelector('.tip').hidden")
    assert browser.logged() == []


def test_tapping_shows_it_too(browser: Browser, page: Path):
    browser.open(page, width=375)
    browser.command("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        x, y = cell(browser)
        browser.until("return document.querySelector('.tip').hidden")
        browser.command("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        browser.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        assert "samples" in browser.until(TIP)
        box = browser.run(
            "const b = document.querySelector('.tip').getBoundingClientRect(); return [b.left, b.right]"
        )
        assert 0 <= box[0] < box[1] <= 375
    finally:
        browser.command("Emulation.setTouchEmulationEnabled", enabled=False)


def test_many_marks_are_painted_and_say_what_they_are_when_pointed_at(browser: Browser, tmp_path: Path):
    rows = [{"at": k, "share": k / 4000, "name": f"number {k}"} for k in range(4000)]
    tooltip = [{"field": "name", "title": "called"}, {"field": "share", "format": ".1%"}]
    encoding = {"x": {"field": "at", "type": "quantitative", "axis": None}, "tooltip": tooltip}
    spec = {
        "data": {"values": rows},
        "height": 300,
        "mark": {"type": "rule", "strokeWidth": 3},
        "encoding": encoding,
    }
    page = tmp_path / "many.html"
    figure = Figure("many", "Many", "All.", "Rules.", spec)
    page.write_text(page_html("many", "bars", Html(""), [[figure]]), encoding="utf-8")
    browser.open(page)
    box = browser.run(
        "const b = document.querySelector('canvas').getBoundingClientRect(); return [b.x, b.y, b.width]"
    )
    for x in (box[0] + box[2] / 2, box[0] + box[2] / 2 + 1):
        browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=box[1] + 150)
    shown = browser.until(TIP)
    name, share = re.fullmatch(r"callednumber (\d+)share(\d+\.\d)%", shown).groups()
    assert share == f"{int(name) / 40:.1f}"
    assert abs(float(share) - 50) < 2
    assert browser.logged() == []


def test_the_theme_is_the_systems_until_it_is_chosen(browser: Browser, page: Path):
    browser.open(page, dark=True)
    paper = "return getComputedStyle(document.body).backgroundColor"
    dark = browser.run(paper)
    browser.run("document.getElementById('theme').click()")
    browser.until(f"return (() => {{{THEMES}}})().join() === 'light'")
    assert browser.run(paper) == "rgb(255, 255, 255)" != dark
    assert browser.violations() == []


def test_a_choice_in_a_figure_is_a_control_that_can_be_reached(browser: Browser, page: Path):
    browser.open(page)
    choice = "document.querySelector('#figure-raster ~ .controls select')"
    assert browser.run("return document.querySelector('[role=img] select') === null")
    before = browser.run("return document.querySelector('#figure-raster ~ .chart svg').outerHTML")
    browser.run(f"{choice}.selectedIndex = 1; {choice}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    browser.run(f"{choice}.dispatchEvent(new Event('change', {{bubbles: true}}))")
    browser.until(
        "return document.querySelector('#figure-raster ~ .chart svg').outerHTML !== arguments[0]", before
    )
    assert browser.logged() == []
    assert browser.violations() == []


def test_a_figure_follows_the_width(browser: Browser, page: Path):
    browser.open(page)
    widest = "return Math.max(...Array.from(document.querySelectorAll('.chart svg'), e => e.clientWidth))"
    before = browser.run(widest)
    browser.command(
        "Emulation.setDeviceMetricsOverride", width=600, height=900, deviceScaleFactor=1, mobile=False
    )
    browser.until(f"return (() => {{{widest}}})() <= 600")
    assert before > 600


def test_print_is_light_without_controls(browser: Browser, page: Path):
    browser.open(page, dark=True)
    kept = f"window.printed = (() => {{{THEMES}}})(); window.empty = (() => {{{EMPTY}}})()"
    drawn = f"if (event.matches) {{{kept}}}"
    browser.run(f"matchMedia('print').addEventListener('change', event => {{ {drawn} }})")
    pdf = base64.b64decode(browser.command("Page.printToPDF", printBackground=False)["data"])
    assert pdf.startswith(b"%PDF")
    assert browser.until("return window.printed") == ["light"]
    assert browser.run("return window.empty") == 0
    browser.until(f"return (() => {{{THEMES}}})().join() === 'dark'")
    browser.command("Emulation.setEmulatedMedia", media="print")
    browser.until(f"return (() => {{{THEMES}}})().join() === 'light'")
    hidden = "return Array.from(document.querySelectorAll('button, nav, details.data'), e => e.offsetHeight)"
    assert set(browser.run(hidden)) == {0}
    assert browser.logged() == []


def test_the_data_of_a_figure_is_there_as_text(browser: Browser, page: Path):
    browser.open(page)
    browser.run("document.querySelector('#figure-confusion ~ details').open = true")
    rows = "return document.querySelectorAll('#figure-confusion ~ details tbody tr').length"
    assert browser.until(rows) > 0
    assert browser.violations() == []


NASTY = (
    "<img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "\u202e\u2028\x00\x1b[31m'\"&amp;${window.hacked=1}",
    "datum.x]['__proto__'].hacked=(",
    "x" * 10_000,
)


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A document in which every text that is one of the names, or ends a sentence, is another."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def hostile(folder: Path, out: Path) -> Path:
    """The page of a report in which whoever made it named everything to do harm."""
    report = load_report(folder).model_dump(mode="json")
    layers = {layer["name"] for student in report["students"] for layer in student["layers"]}
    known = [*(student["name"] for student in report["students"]), *sorted(layers)]
    names = {name: f"{NASTY[k % len(NASTY)]} {k}" for k, name in enumerate(known)}
    report, details = (
        renamed(each, names) for each in (report, load_details(folder).model_dump(mode="json"))
    )
    report["model"] = NASTY[1]
    report["data"]["name"] = report["provenance"]["command"] = NASTY[0] + NASTY[2]
    report["provenance"]["versions"] = dict.fromkeys(NASTY, NASTY[0])
    report["dead"], report["assumed"] = [NASTY[1]], [NASTY[0]]
    report["warnings"] = [NASTY[1], *NASTY]
    for document, name in ((report, "report.json"), (details, "details.json")):
        (out / name).write_text(json.dumps(document), encoding="utf-8")
    read = Report.model_validate_json((out / "report.json").read_bytes())
    path = out / "report.html"
    save_page(report_html(read, load_details(out)), path)
    return path


def test_hostile_names_stay_text(browser: Browser, run_folder: Path, tmp_path: Path):
    page = hostile(run_folder, tmp_path)
    browser.open(page, width=375)
    counts = "return ['script', 'img', 'b', 'iframe'].map(name => document.querySelectorAll(name).length)"
    ours = browser.run(counts)
    browser.open(run_folder / "report.html", width=375)
    assert browser.run(counts) == ours
    browser.open(page, width=375)
    assert browser.violations() == []
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert browser.run("return window.hacked === undefined && ({}).hacked === undefined")
    assert browser.run("return document.body.innerText.includes('<img src=x onerror=window.hacked=1>')")
    text = browser.run("return document.documentElement.outerHTML")
    assert not {"\u202e", "\u2028", "\x1b", "\x00"} & set(text)
    assert browser.logged() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= 375
