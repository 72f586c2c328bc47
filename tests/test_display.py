"""What is shown of results and models where nobody asked for a file: in a terminal and in a notebook."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sne_deploy as sne
from sne_deploy.brief import brief, briefly
from sne_deploy.data import digits_split
from sne_deploy.errors import InputError
from sne_deploy.report.frame import report_frame
from sne_deploy.report.summary import summary_html, summary_text
from tests.effort import examples

DIGITS = "examples/digits/model.pt"
MOST_LINES, MOST_HTML = 20, 200_000


@pytest.fixture(scope="module")
def result():
    _, _, x, y = digits_split()
    with sne.compile(sne.load(DIGITS), target="loihi") as compiled:
        return compiled.run(x[:30], y[:30], record="spikes", teacher="examples/digits/teacher.onnx")


class Text(HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def read(html: str) -> Text:
    found = Text()
    found.feed(html)
    return found


def test_a_result_shows_itself_in_twenty_lines(result):
    lines = repr(result).splitlines()
    assert len(lines) <= MOST_LINES
    assert all(len(line) <= 120 for line in lines)
    assert "99" in repr(result) or "100.0 %" in repr(result)
    for student in result.students:
        assert student.name in repr(result)


def test_everything_that_a_user_holds_is_short(result):
    things = [result.report, result.run, result.details, result.source, *result.students]
    things += [result.source.ensemble, *result.source.ensemble.students, result.source.ensemble.head]
    things += [*result.source.programs, result.source.placement, result.source.chip, result.source.data]
    things += [layer for student in result.students for layer in student.layers]
    for thing in things:
        assert len(repr(thing)) <= 1100, type(thing)
        assert "\n" not in repr(thing), type(thing)
        assert type(thing).__name__ in repr(thing)


def test_the_table_is_text_and_html(result):
    table = result.table()
    assert str(table) == repr(table)
    assert "constants" in str(table)
    assert read(table._repr_html_()).text.strip() == str(table).strip()


def test_a_notebook_shows_the_same_figures_as_the_terminal(result):
    html = result._repr_html_()
    assert len(html) < MOST_HTML
    shown = read(html)
    for line in summary_text(result.report).splitlines()[2:8]:
        for figure in line.split():
            assert figure in shown.text


def test_a_notebook_shows_each_students_graph():
    ensemble = sne.load(DIGITS)
    html = ensemble._repr_html_()
    assert html is not None
    assert len(html) < MOST_HTML
    shown = read(html)
    assert shown.tags.count("svg") == len(ensemble.students)
    for student in ensemble.students:
        assert student.name in shown.text


HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m\u202e" + "n" * 5000


def test_names_stay_text(result):
    students = tuple(each.model_copy(update={"name": HOSTILE}) for each in result.report.students)
    report = result.report.model_copy(update={"students": students, "model": HOSTILE, "warnings": (HOSTILE,)})
    assert "script" not in read(summary_html(report)).tags
    assert len(summary_html(report)) < MOST_HTML
    text = summary_text(report)
    assert len(text.splitlines()) <= MOST_LINES
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "\x1b" not in text


def test_of_many_students_the_first_are_shown(result):
    one = result.report.students[0]
    many = tuple(one.model_copy(update={"name": f"s{number}"}) for number in range(200))
    report = result.report.model_copy(update={"students": many, "warnings": ("w",) * 50})
    assert len(summary_text(report).splitlines()) <= MOST_LINES
    assert "193 more students" in summary_text(report)
    assert "193 more students" in read(summary_html(report)).text


def test_the_frame_holds_the_reports_figures(result):
    frame = result.to_dataframe()
    assert list(frame.name) == [*(each.name for each in result.students), "ensemble", "teacher"]
    ensemble = frame[frame.kind == "ensemble"].iloc[0]
    report = result.report.ensemble
    assert ensemble.synops_per_sample == report.synops_per_sample
    assert ensemble.energy_total_j == report.energy_per_sample_j.total
    assert np.isnan(ensemble.energy_static_j)
    assert ensemble.latency_s == report.latency_s
    teacher = frame[frame.kind == "teacher"].iloc[0]
    assert teacher.host_macs_per_sample == result.report.teacher.macs
    assert np.isnan(teacher.synops_per_sample)


def test_the_frame_of_layers(result):
    frame = result.to_dataframe("layers")
    assert len(frame) == sum(len(student.layers) for student in result.report.students)
    for student in result.report.students:
        synops = frame[frame.student == student.name].synops_per_sample.sum()
        assert synops == pytest.approx(student.synops_per_sample)
    with pytest.raises(InputError, match="students, layers"):
        report_frame(result.report, "neurons")  # type: ignore[arg-type]


@settings(max_examples=examples(25))
@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.integers(),
        lambda each: st.lists(each) | st.tuples(each) | st.dictionaries(st.text(max_size=9), each),
    )
)
def test_whatever_a_field_holds_the_line_is_short(value):
    @briefly
    @dataclasses.dataclass(frozen=True, repr=False)
    class Holder:
        field: object

    text = repr(Holder(value))
    assert text.startswith("Holder(")
    assert len(text) <= 1000
    assert text.isprintable()


def test_arrays_are_shown_by_their_shape():
    assert brief(np.zeros((2, 3), np.int32)) == "int32[2, 3]"
    assert brief(np.int32(7)) == "7"
    assert brief(("a", 1, 2.5, None, "b")) == "('a', 1, 2.5, None, ... 5 in all)"
    assert brief(("a",)) == "('a',)"
