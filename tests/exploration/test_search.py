"""What is tried: every set and order of few students, a beam of many; thresholds that a person can type."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.exploration.search import Search, candidates, orders_to_try
from sne_deploy.model.ensemble import ActivationPolicy, Head
from sne_deploy.policies.outcome import Subsets, places
from sne_deploy.policies.recorded import Recorded
from sne_deploy.policies.thresholds import thresholds


def record(students: int, seed: int = 0, samples: int = 40) -> Recorded:
    """Students of growing use and growing cost."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, samples)
    sharpness = np.linspace(0.2, 3, students)
    parts = tuple(np.eye(3)[labels] * each + rng.normal(size=(samples, 3)) for each in sharpness)
    counts = {name: np.ones((samples, students), np.int64) for name in ("synops", "spikes", "host_macs")}
    return Recorded(None, Head("mean"), parts, labels, counts, None)


def test_of_three_students_every_set_and_every_order_is_tried() -> None:
    subsets = Subsets(record(3))
    orders, complete = orders_to_try(subsets, np.ones(3), ActivationPolicy())
    assert complete
    assert len(orders) == 6
    found = candidates(subsets, orders, Search(("margin", "entropy"), 5), ActivationPolicy())
    assert len(set(found)) == len(found)
    static = {frozenset(places(each, 3)) for each in found if each.kind == "static"}
    assert static == {frozenset(each) for size in (1, 2, 3) for each in combinations(range(3), size)}
    for measure in ("margin", "entropy"):
        cascades = [each for each in found if (each.kind, each.measure) == ("confidence", measure)]
        limits = {each.threshold for each in cascades}
        assert 1.0 in limits
        assert 2 <= len(limits) <= 6
        tried = {(places(each, 3), each.threshold) for each in cascades}
        assert len(tried) == len(cascades) == (6 + 6) * len(limits)


def test_a_model_of_one_student_has_one_point() -> None:
    subsets = Subsets(record(1))
    orders, complete = orders_to_try(subsets, np.ones(1), ActivationPolicy())
    assert (orders, complete) == (((0,),), True)
    found = candidates(subsets, orders, Search(("margin",), 5), ActivationPolicy())
    assert found == (ActivationPolicy(),)


def test_of_many_students_a_beam_search_finds_the_useful_ones_first() -> None:
    """The last student is right most often; at a thousand times the price it is not worth it at first."""
    students = 8
    subsets = Subsets(record(students))
    own = ActivationPolicy("static", tuple(range(students))[::-1])
    price = np.ones(students)
    orders, complete = orders_to_try(subsets, price, own)
    assert not complete
    assert all(sorted(order) == list(range(students)) for order in orders)
    assert own.order in orders
    accurate = np.array([subsets.right((k,)).mean() for k in range(students)])
    assert max(accurate[order[0]] for order in orders[2:]) == accurate.max()
    price[np.flatnonzero(accurate == accurate.max())] = 1000.0
    dear = orders_to_try(subsets, price, ActivationPolicy())[0]
    assert any(
        accurate[order[-1]] == accurate.max() and accurate[order[0]] < accurate.max() for order in dear
    )
    assert len(set(dear)) == len(dear) <= 2 + 2 * 40


@pytest.mark.parametrize("temperature", [0.25, 4.0])
def test_a_beam_search_goes_by_the_head_whatever_its_temperatures(temperature: float) -> None:
    """They change no class, so the search keeps the same orders."""
    students, classes = 6, 3
    given = record(students, samples=400)
    weight = np.concatenate([np.eye(classes)] * students, axis=1)
    head = Head("linear", weight, np.array([2.0, -1.0, -1.0]), np.zeros(students * classes))
    plain = Subsets(replace(given, head=head))
    warm = Subsets(replace(given, head=replace(head, temperature=np.full(students, temperature))))
    price = np.linspace(1.0, 2.0, students)
    own = ActivationPolicy()
    assert orders_to_try(warm, price, own) == orders_to_try(plain, price, own)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 20))
def test_thresholds_rise_to_1_are_short_and_no_higher_than_what_is_reached(
    values: list[float], count: int
) -> None:
    found = thresholds(np.array(values), count)
    assert list(found) == sorted(set(found))
    assert found[-1] == 1.0
    assert len(found) <= count + 1
    for limit in found:
        assert 0 < limit <= 1
        assert limit in (1.0, 1e-3) or any(limit <= value for value in values)
        gap = f"{1 - limit:.3e}"
        assert abs(limit - (1 - float(f"{1 - limit:.2e}"))) < 1e-15 + 1e-3 * float(gap)


def test_confidences_that_crowd_below_1_are_told_apart() -> None:
    values = 1 - np.geomspace(1e-9, 0.5, 50)
    found = thresholds(values, 51)
    assert len(found) > 45
    np.testing.assert_allclose(np.sort(1 - values)[::-1], 1 - np.array(found[:-1]), rtol=0.011)
