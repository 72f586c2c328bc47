"""Figures by class: they show every number of the details once, and say what they leave out."""

from __future__ import annotations

import pytest

from sne_deploy.page.details import class_accuracy as accuracy_details
from sne_deploy.page.details import confusion as confusion_details
from sne_deploy.page.figure import Absent, Figure
from sne_deploy.page.figures.class_accuracy import class_accuracy
from sne_deploy.page.figures.confusion import confusion
from tests.page.runs import digits, drawn


def drawn_with(draw, **parts):
    result = digits()
    return draw(result.report, result.details.model_copy(update=parts))


@pytest.mark.parametrize("classes", [3, 60])
def test_the_matrix_has_a_cell_for_every_pair(classes):
    found = confusion_details.confusion(drawn(4, 300, classes))
    figure = drawn_with(confusion, confusion=found)
    rows = figure.spec["data"]["values"]
    assert [(row["label"], row["predicted"], row["samples"]) for row in rows] == [
        (str(pair.label), str(pair.predicted), pair.samples) for pair in found.pairs
    ]
    for label in {row["label"] for row in rows}:
        assert sum(row["of_label"] for row in rows if row["label"] == label) == pytest.approx(1.0)
    assert ("text" in {layer["mark"]["type"] for layer in figure.spec["layer"]}) == (classes == 3)


def test_very_many_classes_are_a_list_of_confused_pairs(monkeypatch):
    monkeypatch.setattr(confusion_details, "MAX_MATRIX_CLASSES", 5)
    found = confusion_details.confusion(drawn(4, 300, 60))
    figure = drawn_with(confusion, confusion=found)
    assert figure.spec["mark"]["type"] == "bar"
    assert f"The {len(found.pairs)} most confused pairs of {len(found.classes)} classes" in figure.caption


def test_every_network_has_a_cell_for_every_class_that_it_ran_on():
    found = accuracy_details.class_accuracy(drawn(5, 30, 9))
    figure = drawn_with(class_accuracy, class_accuracy=found)
    cells = {
        (network.name, str(index)): (right, ran)
        for network in (found.ensemble, *found.students)
        for index, ran, right in zip(found.classes, network.ran, network.correct, strict=True)
        if ran
    }
    rows = figure.spec["data"]["values"]
    assert {(row["network"], row["class"]): (row["correct"], row["samples"]) for row in rows} == cells
    assert len(rows) == len(cells)
    assert all(row["accuracy"] == row["correct"] / row["samples"] for row in rows)


def test_classes_that_are_left_out_are_named(monkeypatch):
    monkeypatch.setattr(accuracy_details, "MAX_CLASSES", 4)
    found = accuracy_details.class_accuracy(drawn(5, 300, 9))
    figure = drawn_with(class_accuracy, class_accuracy=found)
    assert isinstance(figure, Figure)
    assert "5 classes on which it is better are left out" in figure.caption


def test_without_labels_both_say_why_they_are_absent():
    for draw in (confusion, class_accuracy):
        absent = drawn_with(draw, confusion=None, class_accuracy=None)
        assert isinstance(absent, Absent)
        assert "give data with y" in absent.reason
