"""A budget's point is the best of a search of every threshold; a student alone is a run of it alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.study import budgets
from experiments.study.budgets import best_alone, budget_points, each_alone, operations_of
from experiments.study.operating_points import (
    OperatingPoint,
    cascade,
    cascade_point,
    confidences_of,
    first_students,
)
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy
from tests.experiments.study.test_operating_points import equal, full, with_policy


@cache
def every_point() -> list[tuple[float, OperatingPoint]]:
    """Each threshold with its point, on the data that budgets are chosen on."""
    validation = full("digits:train")
    found = confidences_of(validation, "max_probability")
    return [(one, cascade_point(validation, found, one)) for one in found.thresholds()]


@pytest.fixture(scope="module", autouse=True)
def each_point_once() -> Iterator[None]:
    """A run's confidences, and the point of each threshold, are computed once for all budgets."""
    with mock.patch.multiple(
        budgets, confidences_of=cache(confidences_of), cascade_point=cache(cascade_point)
    ):
        yield


@given(st.floats(0.5, 1.3))
def test_a_budget_buys_the_most_accurate_threshold_that_it_pays(part: float) -> None:
    validation, test = full("digits:train"), full()
    costs = [operations_of(point) for point in first_students(validation)]
    budget = costs[0] + (costs[-1] - costs[0]) * (part - 0.6)
    (found,) = budget_points(validation, test, [budget])
    paid = [(one, point) for one, point in every_point() if operations_of(point) <= budget]
    assert found.reached == bool(paid)
    if paid:
        assert found.validation.accuracy == max(point.accuracy for _, point in paid)
        assert operations_of(found.validation) <= budget
        threshold = min(one for one, point in paid if point.accuracy == found.validation.accuracy)
    else:
        threshold = every_point()[0][0]
    assert found.validation.policy.threshold == threshold
    (ours,) = cascade(test, [threshold])
    assert found.test.row() == ours.row()


def test_a_student_alone_is_a_run_of_it() -> None:
    points = each_alone(full())
    for k, point in enumerate(points):
        order = (k, *(one for one in range(4) if one != k))
        equal(point, with_policy(ActivationPolicy("static", order, students=1)))
    rows = [(point.accuracy, -operations_of(point)) for point in each_alone(full("digits:train"))]
    assert best_alone(full("digits:train")) == int(np.argmax([right for right, _ in rows]))


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan")])
def test_no_operations_buy_nothing(budget: float) -> None:
    with pytest.raises(InputError, match="operations are none; give a number above 0"):
        budget_points(full("digits:train"), full(), [budget])
