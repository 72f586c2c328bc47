"""The file that a page is, without a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from sne_deploy.page.figure import Absent, Figure
from sne_deploy.page.html.markup import Html
from sne_deploy.page.html.page import Section, page_html

HTML = Path(__file__).parents[3] / "sne_deploy" / "page" / "html"
OUT = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "Function(",
    "fetch(",
    "http",
)


def made() -> str:
    spec = {"data": {"values": [{"a": "</script>"}]}, "mark": "point"}
    figures = [Figure("one", "One", "caption", "described", spec), Absent("two", "Two", "there is nothing")]
    return page_html("title", "what", Html(""), [figures, Section("end", "End", Html("<p>text</p>"), "End")])


def test_what_runs_is_what_the_policy_names():
    page = made()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    for kind, contents in (("script-src", scripts), ("style-src", styles)):
        named = re.search(rf"{kind} ([^;]*)", policy).group(1).split()
        digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in contents]
        assert named == [f"'sha256-{digest}'" for digest in digests]
    assert "default-src 'none'" in policy
    assert page.count("<script") == len(scripts) + 1  # and the data, which runs nothing
    assert "unsafe" not in policy


def test_the_pages_own_scripts_make_no_markup_and_ask_for_nothing():
    for script in HTML.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert [word for word in OUT if word in text] == [], script.name


def test_a_missing_figure_says_why_and_contents_lead_to_what_there_is():
    page = made()
    assert "Not shown: there is nothing." in page
    for anchor in re.findall(r'href="#([^"]*)"', page):
        assert page.count(f' id="{anchor}"') == 1, anchor
    assert page.count("data-figure=") == 1
