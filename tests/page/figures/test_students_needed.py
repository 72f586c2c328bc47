"""The figures of how many students are needed: their rows are the details' counts and examples."""

from __future__ import annotations

from dataclasses import replace

import pytest

import sne_deploy as sne
from sne_deploy.page.details.students_needed import students_needed as find
from sne_deploy.page.figure import Absent, Figure
from sne_deploy.page.figures.examples import examples
from sne_deploy.page.figures.students_needed import mean_students, students_needed
from tests.page.runs import SAMPLES, digits, drawn

STATIC = sne.ActivationPolicy()
CASCADE = sne.ActivationPolicy("confidence", threshold=0.9)


def details_of(policy, classes=6, labelled=True):
    source = drawn(9, SAMPLES, classes)
    run = source.run if labelled else replace(source.run, labels=None)
    found = find(replace(source, run=run, ensemble=replace(source.ensemble, policy=policy)))
    return digits().details.model_copy(update={"students_needed": found})


@pytest.mark.parametrize("policy", [STATIC, CASCADE])
@pytest.mark.parametrize("classes", [6, 30])
def test_bars_are_the_counts(policy, classes):
    details = details_of(policy, classes)
    figure = students_needed(digits().report, details)
    assert isinstance(figure, Figure)
    rows = {(row["class"], row["students"]): row["samples"] for row in figure.spec["data"]["values"]}
    assert rows == {
        (str(each.index), k): n
        for each in details.students_needed.classes
        for k, n in enumerate(each.samples)
        if n
    }
    means = {row["class"]: row["mean"] for row in figure.spec["data"]["values"]}
    assert means == {str(each.index): mean_students(each) for each in details.students_needed.classes}
    assert ("static" in figure.caption) == (policy is STATIC)


@pytest.mark.parametrize("labelled", [True, False])
def test_every_example_has_its_place(labelled):
    details = details_of(CASCADE, labelled=labelled)
    figure = examples(digits().report, details)
    rows = figure.spec["data"]["values"]
    found = details.students_needed.examples
    assert [row["sample"] for row in rows] == [example.sample for example in found]
    assert len({(row["students"], row["place"]) for row in rows}) == len(rows)
    for row, example in zip(rows, found, strict=True):
        assert row["image"] == f"data:image/png;base64,{example.picture.png}"
        assert (row["outcome"] == "right") == (labelled and example.label == example.predicted)


def test_one_student_has_no_such_figure():
    details = details_of(sne.ActivationPolicy("static", students=1))
    absent = students_needed(digits().report, details)
    assert isinstance(absent, Absent)
    assert isinstance(examples(digits().report, details), Figure)


@pytest.mark.parametrize("asked", [4, 6])
def test_every_number_of_students_has_a_colour(asked):
    details = details_of(CASCADE)
    found = details.students_needed.model_copy(update={"asked": asked})
    figure = students_needed(digits().report, details.model_copy(update={"students_needed": found}))
    colour = figure.spec["layer"][0]["encoding"]["color"]
    numbers = sorted({row["students"] for row in figure.spec["data"]["values"]})
    if asked == 4:
        assert (colour["type"], colour["scale"]["domain"]) == ("ordinal", [0, 1, 2, 3, 4])
        assert colour["legend"]["values"] == numbers
    else:
        assert (colour["type"], colour["scale"]["domain"]) == ("quantitative", [0, 6])


@pytest.mark.parametrize(
    ("kind", "said"), [("confidence", "until the policy was sure"), ("gate", "the gate chose")]
)
def test_what_made_students_run_is_said(kind, said):
    report = digits().report
    report = report.model_copy(update={"policy": report.policy.model_copy(update={"kind": kind})})
    assert said in students_needed(report, details_of(CASCADE)).caption


def test_texts_fit_equal_classes_and_one_number():
    details = details_of(CASCADE)
    needed = details.students_needed
    alike = tuple(each.model_copy(update={"samples": (0, 3)}) for each in needed.classes)
    one = tuple(each.model_copy(update={"students": 1}) for each in needed.examples)
    found = needed.model_copy(update={"classes": alike, "examples": one})
    details = details.model_copy(update={"students_needed": found})
    figure = students_needed(digits().report, details)
    assert figure.description == "On average 1.00 students run on every class."
    assert examples(digits().report, details).description.endswith("students that ran, of 4: 1.")
