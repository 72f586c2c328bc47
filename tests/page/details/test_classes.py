"""What is counted by class, against counting one sample after the other."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import InputError
from sne_deploy.page.details import class_accuracy as by_class
from sne_deploy.page.details import confusion as pairs
from sne_deploy.page.details.model import load_details
from tests.effort import examples
from tests.page.runs import digits, drawn

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=examples(20), deadline=None)
@given(seed=SEEDS, samples=st.integers(1, 60), classes=st.integers(1, 12))
def test_the_confusion_is_a_count_of_pairs(seed, samples, classes):
    run = (source := drawn(seed, samples, classes)).run
    found = pairs.confusion(source)
    assert found.whole
    counted = Counter(zip(run.labels.tolist(), run.predictions.tolist(), strict=True))
    assert {(pair.label, pair.predicted): pair.samples for pair in found.pairs} == counted
    labelled = Counter(run.labels.tolist())
    assert dict(zip(found.classes, found.labelled, strict=True)) == {
        index: labelled[index] for index in sorted({*run.labels.tolist(), *run.predictions.tolist()})
    }


def test_of_very_many_classes_the_most_confused_pairs_are_kept(monkeypatch):
    monkeypatch.setattr(pairs, "MAX_MATRIX_CLASSES", 5)
    monkeypatch.setattr(pairs, "MAX_PAIRS", 7)
    run = (source := drawn(1, 400, 6)).run
    found = pairs.confusion(source)
    counted = Counter(zip(run.labels.tolist(), run.predictions.tolist(), strict=True))
    wrong = sorted((-n, pair) for pair, n in counted.items() if pair[0] != pair[1])
    assert not found.whole
    assert [(-pair.samples, (pair.label, pair.predicted)) for pair in found.pairs] == wrong[:7]


@settings(max_examples=examples(20), deadline=None)
@given(seed=SEEDS, samples=st.integers(1, 60), classes=st.integers(1, 12))
def test_accuracies_by_class_are_counts_of_samples(seed, samples, classes):
    run = (source := drawn(seed, samples, classes)).run
    found = by_class.class_accuracy(source)
    assert found.classes == tuple(sorted(set(run.labels.tolist())))
    answers = [(found.ensemble, np.ones(samples, dtype=bool), run.predictions)]
    answers += [
        (ours, each.active, each.alone) for ours, each in zip(found.students, run.students, strict=True)
    ]
    for ours, ran, said in answers:
        for index, n, right in zip(found.classes, ours.ran, ours.correct, strict=True):
            of_class = [k for k in range(samples) if ran[k] and run.labels[k] == index]
            assert (n, right) == (len(of_class), sum(said[k] == index for k in of_class))


def test_of_very_many_classes_the_least_accurate_are_kept(monkeypatch):
    whole = by_class.class_accuracy(source := drawn(2, 500, 9))
    monkeypatch.setattr(by_class, "MAX_CLASSES", 4)
    found = by_class.class_accuracy(source)
    rates = dict(
        zip(whole.classes, np.divide(whole.ensemble.correct, whole.ensemble.ran).tolist(), strict=True)
    )
    assert found.left_out == 5
    assert max(rates[k] for k in found.classes) <= min(rates[k] for k in rates if k not in found.classes)
    for ours, theirs in zip(found.students, whole.students, strict=True):
        assert ours.ran == tuple(theirs.ran[whole.classes.index(index)] for index in found.classes)


def test_totals_are_the_reports():
    result = digits()
    found = result.details.class_accuracy
    for ours, theirs in zip(found.students, result.report.students, strict=True):
        assert ours.name == theirs.name
        assert sum(ours.correct) / sum(ours.ran) == pytest.approx(theirs.accuracy, rel=1e-15)
    assert sum(found.ensemble.correct) / sum(found.ensemble.ran) == result.report.ensemble.accuracy


def test_a_student_named_as_the_ensemble_keeps_its_row():
    source = drawn(3, 20, 3)
    first, *others = source.run.students
    renamed = replace(first, program=replace(first.program, name="ensemble"))
    source = replace(source, run=replace(source.run, students=(renamed, *others)))
    found = by_class.class_accuracy(source)
    names = [found.ensemble.name, *(student.name for student in found.students)]
    assert len(set(names)) == len(names)


def test_without_labels_there_is_nothing_to_count():
    source = digits().source
    blind = replace(source, run=replace(source.run, labels=None))
    assert by_class.class_accuracy(blind) is None
    assert pairs.confusion(blind) is None


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("confusion", {"labelled": []}),
        ("confusion", {"labelled": [0] * 10}),
        ("confusion", {"pairs": [{"label": 0, "predicted": 77, "samples": 1}]}),
        ("confusion", {"pairs": [{"label": 0, "predicted": 0, "samples": 0}]}),
        ("class_accuracy", {"classes": [1]}),
        (
            "class_accuracy",
            {"classes": [], "students": [], "ensemble": {"name": "", "ran": [], "correct": []}},
        ),
        ("students_needed", {"classes": []}),
        ("students_needed", {"classes": [{"index": 0, "samples": [0, 0]}]}),
        ("students_needed", {"examples": []}),
        ("raster", {"steps": 0}),
    ],
)
def test_details_that_contradict_themselves_are_refused(part, changes, tmp_path):
    details = json.loads(digits().details.model_dump_json())
    details[part] |= changes
    (tmp_path / "details.json").write_text(json.dumps(details))
    with pytest.raises(InputError, match=rf"details of a run of this version: {part}"):
        load_details(tmp_path)
