"""A cascade's order, temperatures and threshold: against plain loops, all settings, and the runtime."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.distill.policy.cascade import COLDEST, HOTTEST, calibration, fit_cascade, orders
from sne_deploy.distill.policy.confidences import confidences
from sne_deploy.distill.policy.fitting import Runs, Target, brought, fit_confidence
from sne_deploy.model.ensemble import Head
from sne_deploy.runtime.head import logits, softmax
from tests.distill.policy.test_policy import NJ, fits
from tests.effort import examples
from tests.runtime.test_run import Fake, inputs, run


@settings(max_examples=examples(30), deadline=None)
@given(fits())
def test_the_curve_is_the_cascade_at_each_threshold(made: Any) -> None:
    runs, order, measure = made
    found = confidences(runs.head, runs.outputs, runs.labels, order, measure)
    curve, rows = found.curve(runs.energy_j), np.arange(len(runs.labels))
    energy = np.cumsum(runs.energy_j[:, list(order)], axis=1)
    for index, threshold in enumerate(curve.thresholds):
        stop = found.stops(threshold)
        assert curve.accuracy[index] == found.accuracy(threshold)
        assert curve.students[index] == pytest.approx(stop.mean() + 1)
        assert curve.energy_j[index] == pytest.approx(energy[rows, stop].mean(), rel=1e-12)


@settings(max_examples=examples(15), deadline=None)
@given(fits(), st.floats(0, 0.5))
def test_a_cascade_is_worth_at_least_what_any_order_with_one_threshold_is(made: Any, drop: float) -> None:
    """And does what was fitted where the runtime executes it."""
    runs, _, measure = made
    target = Target(accuracy_drop=drop)
    assert set(orders(runs)) == set(permutations(range(runs.students)))
    done = fit_cascade(runs, target, orders(runs), measure)
    fitted, policy, samples = done.fitted, done.fitted.policy, len(runs.labels)
    for order in orders(runs):
        assert fitted.energy_j <= fit_confidence(runs, target, order, measure).energy_j * (1 + 1e-12)
    found = run(
        [Fake(o) for o in runs.outputs], inputs(*range(samples)), policy, head=done.head, labels=runs.labels
    )
    energy = float((found.active * runs.energy_j).sum() / samples)
    assert (fitted.accuracy, fitted.energy_j) == pytest.approx((found.accuracy, energy), rel=1e-12)
    assert fitted.accuracy >= fitted.accuracy_all - drop - 1e-9


def test_a_student_that_is_too_sure_gets_a_threshold_of_its_own() -> None:
    """The first is sure of everything, the mean of both of nothing: one threshold on both would not do."""
    rng = np.random.default_rng(1)
    samples, classes = 600, 4
    labels = rng.integers(0, classes, samples)
    own = np.eye(classes)[labels]
    first = 20 * own + rng.normal(size=(samples, classes)) * 18
    second = 0.3 * own + rng.normal(size=(samples, classes)) * 0.25 - first * 0.98
    third = 40 * own + rng.normal(size=(samples, classes)) * 8
    energy = np.tile(np.array([1.0, 1.0, 20.0]) * NJ, (samples, 1))
    runs = Runs(Head("mean"), (first, second, third), labels, np.rint(energy / NJ).astype(np.int64), energy)
    target = Target(accuracy_drop=0.01)
    plain = fit_confidence(runs, target, (0, 1, 2))
    done = fit_cascade(runs, target, [(0, 1, 2)])
    assert done.head.temperature is not None
    assert done.fitted.energy_j < 0.95 * plain.energy_j
    assert done.fitted.accuracy >= done.fitted.accuracy_all - 0.01 - 1e-9


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10.0))
@settings(max_examples=examples(20), deadline=None)
def test_a_temperature_has_the_least_cross_entropy(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    values, labels = rng.normal(size=(60, 3)) * scale, rng.integers(0, 3, 60)

    def loss(temperature: float) -> float:
        p = softmax(values / temperature)[np.arange(60), labels]
        return float(-np.log(np.maximum(p, 1e-300)).mean())

    found = calibration(values, labels)
    assert COLDEST * 0.999 <= found <= HOTTEST * 1.001
    for other in np.geomspace(COLDEST, HOTTEST, 60):
        assert loss(found) <= loss(float(other)) + 1e-9


@given(seed=st.integers(0, 2**32 - 1), linear=st.booleans())
@settings(max_examples=examples(20), deadline=None)
def test_a_head_divides_by_the_temperature_of_as_many_students_as_ran(seed: int, linear: bool) -> None:
    rng = np.random.default_rng(seed)
    temperature = rng.uniform(0.1, 5, 3)
    plain = Head("mean")
    if linear:
        plain = Head("linear", rng.normal(size=(2, 6)), rng.normal(size=2), rng.normal(size=6))
    outputs, active = [rng.normal(size=(9, 2)) for _ in range(3)], rng.integers(0, 2, (9, 3)).astype(bool)
    active[:, 0] = True
    found = logits(replace(plain, temperature=temperature), outputs, active)
    for n in range(9):
        wanted = logits(plain, [o[n : n + 1] for o in outputs], active[n : n + 1])[0]
        np.testing.assert_allclose(found[n], wanted / temperature[active[n].sum() - 1], rtol=1e-12)


@given(fits())
@settings(max_examples=examples(15), deadline=None)
def test_what_each_student_brings_is_what_prefixes_do(made: Any) -> None:
    runs, order, _ = made
    rows = brought(runs, order)
    assert tuple(row.student for row in rows) == order
    assert rows[-1].operations == pytest.approx(runs.operations.sum(axis=1).mean())
    for place, row in enumerate(rows):
        assert row.accuracy == runs.right(runs.only(order[: place + 1])).mean()
        assert row.accuracy_alone == runs.right(runs.only([row.student])).mean()
        assert row.operations_alone == pytest.approx(runs.operations[:, row.student].mean())
