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


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (
            [(1, 8, 1), (5, 1, 1), (8, 1, 1)],
            "Most often 1 is taken for 8: 1 of its 4 samples, as often as 2 others.",
        ),
        (
            [(1, 8, 1), (5, 1, 2), (8, 1, 2)],
            "Most often 5 is taken for 1: 2 of its 4 samples, as often as 1 other.",
        ),
        ([(1, 8, 1), (5, 1, 3)], "Most often 5 is taken for 1: 3 of its 4 samples."),
    ],
)
def test_of_pairs_confused_alike_one_is_named_and_the_others_counted(pairs, told):
    found = confusion_details.ConfusionModel(
        classes=(1, 5, 8),
        labelled=(4, 4, 4),
        whole=True,
        pairs=tuple(
            confusion_details.PairModel(label=label, predicted=predicted, samples=samples)
            for label, predicted, samples in pairs
        ),
    )
    assert drawn_with(confusion, confusion=found).description.endswith(told)


def test_of_classes_that_are_all_alike_none_is_the_worst():
    alike = accuracy_details.OnClassesModel(name="ensemble", ran=(2, 4), correct=(1, 2))
    found = accuracy_details.ClassAccuracyModel(classes=(0, 1), left_out=0, ensemble=alike, students=())
    figure = drawn_with(class_accuracy, class_accuracy=found)
    assert figure.description == "The ensemble gets 50.0% of the samples of every class right."


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
