"""The terminal table at many widths: every number whole, in every layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sne_deploy.report.file import Report
from sne_deploy.report.notes import report_notes
from sne_deploy.report.schema import VerifiedModel
from sne_deploy.report.table import report_rows, report_view
from sne_deploy.report.units import count, joules, percent, printable, three_digits
from sne_deploy.runtime.slices import Compared
from sne_deploy.teacher.run import TeacherResult

WIDTHS = (20, 40, 60, 80, 100, 120, 200)


def rendered(report: Report, width: int) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: PTH123, SIM115
    with console.file:
        console.print(report_view(report))
        return console.export_text()


@pytest.fixture
def report(make_student: Any, make_result: Any, make_report: Any) -> Report:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 8)
    rows = ([1] * 8, [1, 0] * 4, [0] * 8)
    names = ("first", "second of a very long name", "[bold]never[/] ran\x1b[31m")
    students = [
        make_student(name, row, rng, labels=labels, high=3_000_000)
        for name, row in zip(names, rows, strict=True)
    ]
    result = make_result(students, labels=labels, head_macs=640)
    teacher = TeacherResult(0.98, 1_234_567, {"Conv": 1_234_567}, ("LSTM x2",), 8)
    verified = VerifiedModel(against="loihi", samples=8, differing_bits=0)
    return make_report(result, teacher=teacher, compared=Compared(result, {}), verified=verified)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_cell_is_whole_at_every_width(report: Report, width: int) -> None:
    text = rendered(report, width)
    assert max(len(line) for line in text.splitlines()) <= width
    squeezed = " ".join(text.split())
    for row in report_rows(report):
        for cell in (*row.counts, *row.energies):
            assert cell in squeezed
    assert "…" not in text


def test_names_are_neither_markup_nor_control_codes(report: Report) -> None:
    assert "\x1b" not in rendered(report, 200)
    assert "[bold]never[/] ran\\x1b[31m" in rendered(report, 200)


def test_wide_terminals_get_one_table_narrow_ones_two_and_the_narrowest_a_list(report: Report) -> None:
    for width, tables in ((120, 1), (80, 2), (40, 0)):
        heads = [line for line in rendered(report, width).splitlines() if line.startswith(" per sample ")]
        assert len(heads) == tables
    assert "  energy of updates: " in rendered(report, 40)


def test_rows_are_students_then_ensemble_then_teacher(report: Report) -> None:
    rows = report_rows(report)
    assert [row.name for row in rows[3:]] == ["ensemble", "teacher"]
    assert rows[0].counts[:2] == ("100.0 %", "100.0 %")
    assert rows[1].counts[1] == "50.0 %"
    assert rows[2].counts == ("-", "0.0 %", "-", "-")
    assert rows[2].energies == ("-",) * 5
    assert rows[3].counts[1] == "1.5 of 3"
    assert rows[4].counts == ("98.0 %", "-", "1,234,567 MAC", "-")
    assert rows[4].energies == ("5.68 uJ", "-", "-", "-", "5.68 uJ")
    lines = rendered(report, 200).splitlines()
    order = [next(i for i, line in enumerate(lines) if line.strip().startswith(row.name)) for row in rows]
    assert order == sorted(order)


def test_no_teacher_no_row(report: Report) -> None:
    assert [row.name for row in report_rows(report.model_copy(update={"teacher": None}))][-1] == "ensemble"


def test_notes_say_what_the_figures_leave_out_and_rest_on(report: Report) -> None:
    notes = "\n".join(f"{label}: {text}" for label, text in report_notes(report))
    assert "without x86 processors and leakage, and without hops (no cores)" in notes
    assert "cores: none are counted: the target does not record the spikes" in notes
    assert "synop 23.6 pJ, update_active 81 pJ, spike_within_tile 1.7 pJ" in notes
    assert "Davies et al. 2018" in notes
    assert "Horowitz 2014" in notes
    assert "pre-silicon, stated as a minimum" in notes
    assert "interval: neurocores x0.8 to x1.25 (chosen knowing these six points" in notes
    assert "640 MACs per sample of its head on the host, 2.94 nJ" in notes
    assert "x the ensemble's operations (SynOps and host MACs)" in notes
    assert "lower bound: no count is known for LSTM x2" in notes
    same = "the same class on 100.0 % of the samples"
    accuracy = percent(report.ensemble.accuracy)
    assert f"fidelity: accuracy {accuracy} in floating point, {accuracy} as run; {same}" in notes
    assert "verified: 0 differing bits on 8 samples against loihi" in notes
    assert "warning: layer 1: 3 weights saturated" in notes


def test_a_floating_point_run_says_that_updates_are_left_out(
    make_student: Any, make_result: Any, make_report: Any
) -> None:
    student = make_student("float", [1, 1], np.random.default_rng(0), updates=False, layers=1)
    result = make_result([student], head_macs=0)
    report = make_report(result, target="norse", precision="float", warnings=())
    notes = dict(report_notes(report))
    assert notes["energy"].endswith(
        "and without updates (registers are not modelled on this target), hops (no cores)"
    )
    assert set(notes) == {"energy", "cores", "constants"}
    assert report_rows(report)[0].energies[2] == "-"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0.0, "0 J"), (1.0, "1.00 J"), (250.0, "250 J"), (1.234e-6, "1.23 uJ"),
        (9.999e-7, "1.00 uJ"), (999.4e-9, "999 nJ"), (23.6e-12, "23.6 pJ"), (1e-3, "1.00 mJ"),
        (4.6e-15, "4.60 fJ"), (1e-18, "0.00100 fJ"),
    ],
)  # fmt: skip
def test_joules(value: float | None, text: str) -> None:
    assert joules(value) == text


@settings(max_examples=300)
@given(st.floats(1e-15, 999.0))
def test_joules_read_back_within_half_a_percent(value: float) -> None:
    number, unit = joules(value).split()
    scale = {"fJ": 1e-15, "pJ": 1e-12, "nJ": 1e-9, "uJ": 1e-6, "mJ": 1e-3, "J": 1.0}[unit]
    assert float(number) * scale == pytest.approx(value, rel=5.01e-3)
    assert len(number.replace(".", "")) in (3, 4)


def test_other_numbers() -> None:
    assert [three_digits(x) for x in (0.0, 9.999, 0.0309, 714.2, 12345.6)] == [
        "0",
        "10.0",
        "0.0309",
        "714",
        "12346",
    ]
    assert [count(x) for x in (None, 0.0, 3.0, 2.25, 1234.5)] == ["-", "0", "3", "2.2", "1,234"]
    assert percent(0.98765) == "98.8 %"
    assert printable("a\nb\x1b[0m µ") == "a\\nb\\x1b[0m µ"
