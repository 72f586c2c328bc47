"""``sne report A B``: the table, the page in a browser, and refusals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.model.ensemble import ActivationPolicy
from sne_deploy.page.figure import Figure
from sne_deploy.page.figures.runs import DetailedRun, bars, overlay
from sne_deploy.page.figures.tradeoff_rows import POLICY
from sne_deploy.report.file import load_report
from sne_deploy.report.side_by_side import Run, side_by_side
from tests.command_line import command
from tests.page.browser import Browser

HOSTILE = "<img src=x onerror=alert(1)>{{datum}}"


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another policy, on fewer samples, in a folder whose name is markup."""
    folder = tmp_path_factory.mktemp("other") / HOSTILE
    _, _, x, y = digits_split()
    policy = ActivationPolicy("confidence", (), 0.7)
    with sne.compile("examples/digits/model.pt", "loihi", policy=policy, fidelity=False) as compiled:
        compiled.run(x[:20], y[:20]).save(folder)
    (folder / "details.json").unlink()
    return folder


def test_the_overlay_has_every_run_where_its_report_says(run_folder: Path, other_folder: Path) -> None:
    reports = [load_report(run_folder), load_report(other_folder)]
    runs = [DetailedRun(str(index), report, None) for index, report in enumerate(reports)]
    figure = overlay(runs)
    assert isinstance(figure, Figure)
    own = [row for row in figure.spec["data"]["values"] if row["what"] == POLICY]
    assert [row["energy_j"] for row in own] == [each.ensemble.energy_per_sample_j.total for each in reports]
    assert [row["error"] for row in own] == [1.0 - each.ensemble.accuracy for each in reports]
    found = side_by_side([Run(run.name, report) for run, report in zip(runs, reports, strict=True)])
    drawn = [row for row in bars(found).spec["data"]["values"] if row["metric"] == "SynOps"]
    synops = [each.ensemble.synops_per_sample for each in reports]
    assert [row["of the most"] for row in drawn] == [each / max(synops) for each in synops]


def test_the_page_of_two_runs_is_drawn_and_nothing_is_wrong(
    browser: Browser, run_folder: Path, other_folder: Path, tmp_path: Path
) -> None:
    page = tmp_path / "both.html"
    found = command("report", run_folder, other_folder, "--html", "--out", page, name="sne")
    assert (found.status, found.stderr) == (0, f"Written: {page}\n")
    assert "not comparable:" in found.stdout
    for width, dark in ((1280, False), (375, True)):
        browser.open(page, width=width, dark=dark)
        assert browser.run("return document.querySelectorAll('[data-drawn]').length") == 2
        assert browser.logged() == []
        assert browser.requests() == [page.as_uri()]
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.violations() == []
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert HOSTILE in browser.run("return document.querySelector('.what').textContent")


def test_several_reports_are_refused_what_one_may_have(run_folder: Path, tmp_path: Path) -> None:
    both = ("report", run_folder, run_folder)
    refused = command(*both, "--compare", "all", name="sne")
    assert refused.status == 2
    assert "--compare puts one report beside processors, not 2; give one, or leave it out" in refused.stderr
    assert command("report", run_folder, "--compare", "all", name="sne").status == 0
    assert command(*both, "--out", tmp_path / "x.html", name="sne").status == 2
    twice = command(*both, name="sne")
    assert (twice.status, "(2)" in twice.stdout) == (0, True)
    missing = command("report", run_folder, tmp_path / "nowhere", name="sne")
    assert missing.status == 2
    assert os.fspath(tmp_path / "nowhere") in missing.stderr
