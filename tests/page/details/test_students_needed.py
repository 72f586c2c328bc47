"""How many students, against counting one sample after the other; and which examples are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sne_deploy as sne
from sne_deploy.page.details import students_needed as needed
from tests.effort import examples
from tests.page.runs import SAMPLES, digits, drawn

CASCADE = sne.ActivationPolicy("confidence", threshold=0.9)


def with_policy(source, policy):
    return replace(source, ensemble=replace(source.ensemble, policy=policy))


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cascade=st.booleans(), labelled=st.booleans())
def test_every_sample_is_counted_once_with_its_students(seed, cascade, labelled):
    source = with_policy(drawn(seed, SAMPLES, 6), CASCADE if cascade else sne.ActivationPolicy())
    run = source.run if labelled else replace(source.run, labels=None)
    found = needed.students_needed(replace(source, run=run))
    kinds = run.labels if labelled else run.predictions
    assert (found.counted, found.by) == ("ran" if cascade else "agreed", "label" if labelled else "predicted")
    counted = {}
    for k in range(SAMPLES):
        ran = [student for student in run.students if student.active[k]]
        many = len(ran) if cascade else sum(student.alone[k] == run.predictions[k] for student in ran)
        counted.setdefault(int(kinds[k]), [0] * 5)[many] += 1
    assert {each.index: list(each.samples) for each in found.classes} == counted
    assert [each.index for each in found.classes] == sorted(counted)


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), labelled=st.booleans())
def test_examples_are_the_first_of_each_number(seed, labelled):
    source = with_policy(drawn(seed, SAMPLES, 6), CASCADE)
    run = source.run if labelled else replace(source.run, labels=None)
    found = needed.students_needed(replace(source, run=run))
    want = []
    for many in range(1, 5):
        ran = [k for k in range(SAMPLES) if run.active[k].sum() == many]
        right = [k for k in ran if labelled and run.predictions[k] == run.labels[k]]
        wrong = [k for k in ran if labelled and k not in right]
        want += right[:2] + wrong[:2] if labelled else ran[:4]
    assert [example.sample for example in found.examples] == want
    for example in found.examples:
        assert example.students == run.active[example.sample].sum()
        assert example.predicted == run.predictions[example.sample]
        assert example.label == (run.labels[example.sample] if labelled else None)


def test_of_very_many_classes_the_hardest_are_kept(monkeypatch):
    for policy, hardest_first in ((CASCADE, -1), (sne.ActivationPolicy(), 1)):
        source = with_policy(drawn(7, SAMPLES, 6), policy)
        monkeypatch.undo()
        whole = needed.students_needed(source)
        monkeypatch.setattr(needed, "MAX_CLASSES", 2)
        found = needed.students_needed(source)
        means = {each.index: np.average(np.arange(5), weights=each.samples) for each in whole.classes}
        assert {each.index for each in found.classes} == set(
            sorted(means, key=lambda k: (hardest_first * means[k], k))[:2]
        )
        assert found.left_out == len(means) - 2


def test_a_sample_is_drawn_for_its_own_steps():
    source = digits().source
    ensemble = replace(source.ensemble, input_shape=(3,), encoder=sne.Encoder("spikes"), timesteps=9)
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=(SAMPLES, 9, 3), dtype=np.uint8)
    lengths = rng.integers(2, 10, size=SAMPLES)
    source = replace(source, ensemble=ensemble, data=replace(source.data, x=x, lengths=lengths))
    found = needed.students_needed(source)
    assert found.drawn == "series"
    for example in found.examples:
        assert example.picture.width % lengths[example.sample] == 0


@pytest.mark.parametrize("levels", [7, 40])
def test_few_of_many_numbers_of_students_have_examples(levels):
    run = drawn(8, 400, 3).run
    students = np.random.default_rng(0).permutation(np.arange(400) % levels)
    shown = sorted({int(students[k]) for k in needed._chosen(run, students)})
    assert len(shown) == needed.MAX_LEVELS
    assert (shown[0], shown[-1]) == (0, levels - 1)
