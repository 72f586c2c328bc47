"""The summary: one screen whatever the model, nothing cut off, and what it says is so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from sne_deploy.errors import InputError
from sne_deploy.inspect.collect import inspect_ensemble
from sne_deploy.inspect.summary import MAX_ROWS, SummaryView, one_layer, summary_sheet
from sne_deploy.inspect.views import ModelView, SupportView
from tests.inspect.test_collect import convolution, ensemble
from tests.inspect.test_table import HOSTILE, WIDTHS


def rendered(model: ModelView, width: int = 100) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(SummaryView(model))
    return captured.get()


def words(model: ModelView) -> str:
    return " ".join(rendered(model, 400).split())


@pytest.fixture(scope="module")
def model() -> ModelView:
    return inspect_ensemble(ensemble(convolution()), "some/model.nir")


def many(model: ModelView, count: int) -> ModelView:
    (student,) = model.students
    return replace(model, students=tuple(replace(student, name=f"s{at}") for at in range(count)))


def test_a_row_says_what_the_layer_is(model: ModelView) -> None:
    sheet = summary_sheet(model.students)
    (connection,) = model.students[0].connections
    (row,) = sheet.rows
    synapses, clipped = f"{connection.synapses:,}", f"{connection.saturated_weights:,}"
    assert row[:6] == ("student", "lif", "LIF, tau 10 ms", "512", synapses, clipped)
    assert row[6] == f"{connection.snr_db:.1f} dB"


@pytest.mark.parametrize("count", [1, MAX_ROWS, MAX_ROWS + 1, 200])
def test_it_is_one_screen_however_many_students(model: ModelView, count: int) -> None:
    assert len(rendered(many(model, count)).splitlines()) <= 42
    sheet = summary_sheet(many(model, count).students)
    by_student = count > MAX_ROWS
    assert sheet.columns[1].head == ("layers" if by_student else "layer")
    more = [row[0] for row in sheet.rows if "more" in row[0]]
    assert more == ([f"{count - MAX_ROWS} more: --all"] if by_student else [])


def test_targets_are_named_with_the_students_that_they_refuse(model: ModelView) -> None:
    first, second, third = many(model, 3).students
    refused = SupportView("lava", "fixed", supported=False, reasons=("one reason", "another"))
    own = tuple(
        refused if (row.target, row.precision) == ("lava", "fixed") else row for row in second.support
    )
    mixed = replace(model, students=(first, replace(second, support=own), third))
    assert "lava (fixed) not student s1: one reason (--all: every reason)" in words(mixed)
    assert "targets lava (float); loihi (fixed); norse (float); netx" in words(mixed)
    alone = replace(model, students=(replace(second, support=(refused,)),))
    assert "lava (fixed) not any student: one reason" in words(alone)


def test_clipped_weights_are_one_line(model: ModelView) -> None:
    (student,) = model.students
    (connection,) = student.connections
    notes = ("something else", "2", "3", "4")
    clipped = replace(connection, saturated_weights=3)
    found = words(replace(model, students=(replace(student, connections=(clipped,), notes=notes),)))
    assert "clipped 3 of 72 weights; worst: 3 of 72 of 'conv' in 'student'" in found
    assert "something else 2 3 1 more: --all" in found.replace("note ", "")


@pytest.mark.parametrize("width", WIDTHS)
def test_names_are_neither_markup_nor_control_codes(model: ModelView, width: int) -> None:
    (student,) = model.students
    nodes = tuple(replace(node, name=HOSTILE) if node.neurons else node for node in student.nodes)
    hostile = replace(student, name=HOSTILE, nodes=nodes, notes=(HOSTILE,))
    text = rendered(replace(model, students=(hostile,)), width)
    assert "\x1b" not in text
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    assert "[bold]evil[/]\\x1b[31m\\nname" in "".join(text.split())


def test_what_could_not_be_compiled_is_shown_too(model: ModelView) -> None:
    (student,) = model.students
    bare = replace(student, groups=(), connections=(), support=(), nodes=())
    assert "not compiled a time step" in words(replace(model, students=(bare,), refused="a time step"))


def test_one_layer_is_what_belongs_to_it(model: ModelView) -> None:
    both = many(model, 2)
    layer = one_layer(both, "s1/lif")
    (student,) = layer.students
    assert (student.name, [node.name for node in student.nodes]) == ("s1", ["lif"])
    assert [group.name for group in student.groups] == ["lif"]
    assert [connection.target for connection in student.connections] == ["lif"]
    assert len(one_layer(both, "conv").students) == 2
    with pytest.raises(InputError, match="--layer 's2/lif': no student has such a layer; known: input, conv"):
        one_layer(both, "s2/lif")
