"""Every figure of the table."""

from __future__ import annotations

import pytest

from sne_deploy.page.figure import NOT_KEPT, Absent
from sne_deploy.page.figures.table import FIGURES
from sne_deploy.page.html.report import report_figures
from tests.page.runs import digits


def test_without_details_each_is_drawn_or_says_why_it_is_not():
    figures = report_figures(digits().report, None)
    assert [figure.name for figure in figures] == list(FIGURES)
    absent = [figure for figure in figures if isinstance(figure, Absent)]
    assert {figure.reason for figure in absent} == {NOT_KEPT}


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_names_and_texts_are_there(name):
    figure = FIGURES[name](digits().report, digits().details)
    assert figure.name == name
    assert figure.title
    if not isinstance(figure, Absent):
        assert figure.caption.endswith(".")
        assert figure.description.endswith(".")
