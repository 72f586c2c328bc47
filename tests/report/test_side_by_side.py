"""Reports side by side: cells are the reports', changes are from the first, and what differs is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sne_deploy.chips.chip import load_chip
from sne_deploy.report.file import Report
from sne_deploy.report.side_by_side import Run, SideBySide, side_by_side
from sne_deploy.report.side_by_side_table import SideBySideView, cell
from sne_deploy.report.units import count, joules, percent
from sne_deploy.teacher.run import TeacherResult

NAMES = ("out/a", "[bold]b[/]\x1b[31m of a very long name " * 3, "c")


@pytest.fixture
def reports(make_student: Any, make_result: Any, make_report: Any) -> list[Report]:
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, 8)
        student = make_student("one", [1] * 8, rng, labels=labels, high=3_000_000 // (seed + 1))
        teacher = TeacherResult(0.98, 1_234_567, {"Conv": 1_234_567}, (), 8) if seed else None
        found.append(make_report(make_result([student], labels=labels, head_macs=640), teacher=teacher))
    return found


@pytest.fixture
def found(reports: list[Report]) -> SideBySide:
    return side_by_side([Run(name, report) for name, report in zip(NAMES, reports, strict=True)])


def row(found: SideBySide, metric: str) -> Any:
    return next(each for each in found.rows if each.metric == metric)


def test_cells_are_the_reports_figures(found: SideBySide, reports: list[Report]) -> None:
    for metric, read in (
        ("accuracy", lambda each: percent(each.ensemble.accuracy)),
        ("energy an inference", lambda each: joules(each.ensemble.energy_per_sample_j.total)),
        ("neurocores, at least", lambda each: joules(each.ensemble.energy_per_sample_j.interval[0])),
        ("neurocores, at most", lambda each: joules(each.ensemble.energy_per_sample_j.interval[1])),
        ("SynOps", lambda each: count(each.ensemble.synops_per_sample)),
        ("spikes", lambda each: count(each.ensemble.spikes_per_sample)),
    ):
        assert row(found, metric).cells == tuple(read(each) for each in reports)
    assert row(found, "teacher's accuracy").cells == ("-", "98.0 %", "98.0 %")
    assert "latency" not in [each.metric for each in found.rows]  # no run was placed


def test_changes_are_from_the_first(found: SideBySide, reports: list[Report]) -> None:
    energies = [each.ensemble.energy_per_sample_j.total for each in reports]
    changes = row(found, "energy an inference").changes
    assert changes[0] == ""
    assert changes[1:] == tuple(f"{100 * (each / energies[0] - 1):+.1f} %" for each in energies[1:])
    accuracies = [each.ensemble.accuracy for each in reports]
    for change, accuracy in zip(row(found, "accuracy").changes, accuracies, strict=True):
        assert change == (
            "" if accuracy == accuracies[0] else f"{100 * (accuracy - accuracies[0]):+.2f} points"
        )
    assert row(found, "teacher's accuracy").changes == ("", "", "")


def test_only_lines_that_differ_are_marked(reports: list[Report]) -> None:
    same = side_by_side([Run("a", reports[1]), Run("b", reports[1])])
    assert not any(each.differs for each in same.rows)
    assert same.remarks == ()
    other = side_by_side([Run("a", reports[1]), Run("b", reports[2])])
    assert row(other, "energy an inference").differs
    assert not row(other, "hardware").differs


def test_what_is_not_comparable_is_named(reports: list[Report]) -> None:
    first = reports[0]
    more = first.model_copy(update={"data": first.data.model_copy(update={"samples": 9})})
    other = first.model_copy(update={"data": first.data.model_copy(update={"name": "other", "samples": 9})})
    hardware = first.model_copy(update={"hardware": first.hardware.model_copy(update={"name": "loihi9"})})

    def remarks(report: Report) -> str:
        return " / ".join(side_by_side([Run("a", first), Run("b", report)]).remarks)

    assert remarks(more).startswith("not comparable: a and b ran on 8 and 9 samples of")
    assert remarks(other).startswith("not comparable: a and b ran on other data")
    assert remarks(other).count("not comparable") == 1
    assert remarks(hardware).startswith("other constants: a and b")
    assert load_chip("loihi1").name in remarks(hardware)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 110, 200])
def test_every_figure_is_whole_at_every_width(found: SideBySide, width: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: PTH123, SIM115
    with console.file:
        console.print(SideBySideView(found))
        text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    squeezed = " ".join(text.split())
    for each in found.rows:
        for index, value in enumerate(each.values):
            if value is not None:
                assert cell(each, index) in squeezed
