"""A budget is spent by a cascade that is as good as any; a student alone is a run of it alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.study.budgets import best_alone, budget_points, each_alone, operations_of
from experiments.study.operating_points import (
    cascade_point,
    confidences_of,
    first_students,
)
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Head
from tests.effort import examples
from tests.experiments.study.test_operating_points import equal, full, with_policy


@settings(max_examples=examples(30), deadline=None)
@given(st.floats(0.2, 1.3))
def test_a_budget_spends_what_it_may(part: float) -> None:
    """Every threshold that is higher costs more; and the order is one that can be best within the budget."""
    validation, test = full("digits:train"), full()
    costs = [operations_of(point) for point in first_students(validation)]
    cheapest = min(map(operations_of, each_alone(validation)))
    budget = cheapest + (costs[-1] - cheapest) * (part - 0.3)
    (found,) = budget_points(validation, test, [budget])
    assert found.reached == (budget >= cheapest)
    allowed = max(budget, cheapest) * (1 + 1e-12)
    assert operations_of(found.validation) <= allowed
    points = thresholds_of(found.test.policy, found.head)
    assert all(cost > allowed for one, cost, _ in points if one > found.test.policy.threshold)
    best = max([right for cost, right in plain_cascades() if cost <= budget], default=0.0)
    assert max(right for _, cost, right in points if cost <= allowed) >= best
    if not found.reached:
        assert found.validation.mean_students == 1.0


def thresholds_of(policy: ActivationPolicy, head: Head) -> list[tuple[float, float, float]]:
    """Threshold, operations and accuracy of a cascade at all that is worth a try, by running it."""
    validation = full("digits:train")
    own = replace(validation, ensemble=replace(validation.ensemble, policy=policy, head=head))
    found = confidences_of(own, "max_probability")
    tried = [(one, cascade_point(own, found, one)) for one in found.thresholds()]
    return [(one, operations_of(point), point.accuracy) for one, point in tried]


@cache
def plain_cascades() -> list[tuple[float, float]]:
    """Operations and accuracy of every order at every threshold, on the data that budgets are chosen on."""
    validation = full("digits:train")
    points = []
    for order in permutations(range(len(validation.ensemble.students))):
        policy = ActivationPolicy("confidence", order, 0.5)
        own = replace(validation, ensemble=replace(validation.ensemble, policy=policy))
        found = confidences_of(own, "max_probability")
        tried = [cascade_point(own, found, one) for one in found.thresholds()[::40]]
        points += [(operations_of(point), point.accuracy) for point in tried]
    return points


def test_a_budget_point_is_a_run_with_its_policy() -> None:
    (found,) = budget_points(full("digits:train"), full(), [60_000.0])
    policy = found.test.policy
    assert policy.kind == "confidence"
    equal(found.test, with_policy(policy, head=found.head))


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
