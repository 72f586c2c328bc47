"""The terminal tables at many widths: nothing is cut off, in any layout."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from sne_deploy.inspect.collect import inspect_ensemble
from sne_deploy.inspect.table import InspectView, connection_sheet, node_sheet, support_sheet, value_sheet
from sne_deploy.inspect.views import ModelView, SupportView
from tests.inspect.test_collect import convolution, ensemble

WIDTHS = (20, 40, 60, 80, 110, 200)
HOSTILE = "[bold]evil[/]\x1b[31m\nname"


def rendered(model: ModelView, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(InspectView(model))
    return captured.get()


@pytest.fixture(scope="module")
def model() -> ModelView:
    found = inspect_ensemble(ensemble(convolution()), "some/model.nir")
    student = found.students[0]
    nodes = tuple(replace(node, name=HOSTILE) if node.name == "conv" else node for node in student.nodes)
    refused = SupportView("netx", "fixed", supported=False, reasons=("one reason", "another"))
    hostile = replace(
        student, name=HOSTILE, nodes=nodes, support=(*student.support, refused), notes=(HOSTILE,)
    )
    return replace(
        found, students=(hostile, hostile), provenance=(("versions.torch", "2"),), refused="a time step"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_every_cell_is_whole_at_every_width(model: ModelView, width: int) -> None:
    text = rendered(model, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    joined = "".join(text.split())
    student = model.students[0]
    sheets = (
        node_sheet(student.nodes),
        value_sheet(student),
        connection_sheet(student.connections),
        support_sheet(student.support),
    )
    if width <= 60:  # as lists, nothing of a cell stands beside another
        for sheet in sheets:
            for row in sheet.rows:
                for cell in row:
                    assert cell == "-" or "".join(cell.split()) in joined
    for sheet in sheets:
        for row in sheet.rows:
            for cell, column in zip(row, sheet.columns, strict=True):
                assert not column.number or cell in text


@pytest.mark.parametrize("width", WIDTHS)
def test_names_are_neither_markup_nor_control_codes(model: ModelView, width: int) -> None:
    text = rendered(model, width)
    assert "\x1b" not in text
    assert "[bold]evil[/]\\x1b[31m\\nname" in "".join(text.split())


def test_wide_terminals_get_tables_and_narrow_ones_lists(model: ModelView) -> None:
    assert rendered(model, 110).count("─" * 10) >= 6
    assert rendered(model, 20).count("─") == 0


def test_targets_stand_once_where_all_students_agree(model: ModelView) -> None:
    assert rendered(model, 110).count("another") == 1
    first, second = model.students
    different = replace(model, students=(first, replace(second, support=first.support[:1])))
    text = rendered(different, 110)
    assert text.count("another") == 1
    assert text.count("loihi") == 1
    assert text.count("lava") == 2


def test_what_is_missing_is_said(model: ModelView) -> None:
    assert "not compiled  a time step" in rendered(model, 110)
