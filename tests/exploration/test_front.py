"""The front against its definition; picking, and what the refusals name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import InputError
from sne_deploy.exploration.figures import Columns
from sne_deploy.exploration.front import front
from sne_deploy.exploration.points import Limits, Points
from sne_deploy.exploration.quantities import at_least, at_most, fraction, quantity
from sne_deploy.model.ensemble import ActivationPolicy
from tests.effort import examples

TRIPLES = st.lists(st.tuples(*[st.integers(1, 5)] * 3), min_size=1, max_size=12)


def columns(triples: list[tuple[float, ...]], *, timed: bool = True) -> Columns:
    accuracy, energy, latency = np.array(triples, float).T
    zero = np.zeros(len(triples))
    return Columns(10, accuracy / 10, zero, energy * 1e-6, latency * 1e-3 if timed else None, zero, zero)


def points(triples: list[tuple[float, ...]], *, timed: bool = True) -> Points:
    found = columns(triples, timed=timed)
    n = len(triples)
    return Points((ActivationPolicy(),) * n, (None,) * n, (True,) + (False,) * (n - 1), found, found, found)


@settings(max_examples=examples(40))
@given(TRIPLES, st.booleans())
def test_the_front_is_what_nothing_dominates_and_the_first_of_equals(triples: Any, timed: bool) -> None:
    values = [triple if timed else (*triple[:2], 0) for triple in triples]

    def beaten(one: int) -> bool:
        a, e, t = values[one]
        return any(
            (x >= a and y <= e and z <= t and (x, y, z) != (a, e, t))
            or ((x, y, z) == (a, e, t) and other < one)
            for other, (x, y, z) in enumerate(values)
        )

    found = front(columns(triples, timed=timed))
    assert sorted(found) == [k for k in range(len(values)) if not beaten(k)]
    assert list(np.array(values)[found, 1]) == sorted(np.array(values)[found, 1])


@settings(max_examples=examples(40))
@given(TRIPLES, *[st.none() | st.integers(1, 5)] * 3)
def test_the_pick_is_the_best_within_the_limits_or_the_nearest_is_named_and_works(
    triples: Any, accuracy: int | None, energy: int | None, latency: int | None
) -> None:
    limits = Limits.read(
        None if accuracy is None else accuracy / 10,
        None if energy is None else f"{energy}uJ",
        None if latency is None else f"{latency}ms",
    )
    found = points(triples)
    if not limits:
        with pytest.raises(InputError, match="give a target accuracy, an energy budget or a latency budget"):
            found.pick(limits)
        return
    within = [
        (a, e, t)
        for a, e, t in triples
        if (accuracy is None or a >= accuracy) and (energy is None or e <= energy)
        and (latency is None or t <= latency)
    ]  # fmt: skip
    if within:
        best = min(within, key=lambda p: (p[1], -p[0], p[2]) if accuracy is not None else (-p[0], p[1], p[2]))
        assert triples[found.pick(limits)] == best
        return
    for _ in range(3):  # one remedy for each limit at most
        try:
            found.pick(limits)
            break
        except InputError as error:
            option, value = str(error).rsplit(" ", 2)[-2:]
            given_as = {"--target-accuracy": 0, "--energy-budget": 1, "--latency-budget": 2}[option]
            texts: list[Any] = [limits.target_accuracy, limits.energy_budget_j, limits.latency_budget_s]
            texts[given_as] = value
            limits = Limits.read(*texts)
    else:
        raise AssertionError("the remedies do not work")


def test_without_latencies_a_budget_is_refused() -> None:
    with pytest.raises(InputError, match="needs latencies, and this target, chip and model give none"):
        points([(1, 1, 1)], timed=False).pick(Limits.read(latency_budget="1ms"))


@settings(max_examples=examples(40))
@given(st.floats(1e-12, 1e3), st.sampled_from("Js"))
def test_what_is_named_is_no_less_has_three_digits_and_is_read_again(value: float, unit: str) -> None:
    text = at_least(value, unit)
    assert value <= quantity("budget", text, unit) <= value * 1.0101
    assert len(text.rstrip("Jsmunpf").replace(".", "").strip("0")) <= 3
    assert at_least(quantity("budget", text, unit), unit) == text


@settings(max_examples=examples(40))
@given(st.floats(0.0001, 1))
def test_the_accuracy_that_is_named_is_reached(value: float) -> None:
    assert value - 1e-4 < fraction("target accuracy", at_most(value)) <= value


@pytest.mark.parametrize(
    ("text", "value"),
    [("2uJ", 2e-6), ("2 uJ", 2e-6), ("2µJ", 2e-6), ("2.5e3nJ", 2.5e-6), ("0.001J", 1e-3), (3e-6, 3e-6)],
)
def test_energies_are_read_with_their_units(text: Any, value: float) -> None:
    assert quantity("energy budget", text, "J") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "energy budget '2': give a number and its unit, such as 2uJ"),
        ("2ms", "energy budget '2ms': give a number and its unit, such as 2uJ"),
        ("uJ", "energy budget 'uJ': give a number and its unit"),
        ("0J", "energy budget 0J must be above 0"),
        ("1e999J", "energy budget 1e999J must be above 0"),
        (float("nan"), "energy budget nan must be above 0"),
        ([2], r"energy budget \[2\] must be a number"),
    ],
)
def test_what_is_no_energy_is_refused(text: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantity("energy budget", text, "J")


@pytest.mark.parametrize("text", ["98", "0", "101%", "-1%", "all", 1.5, 0, None, "0.9J"])
def test_what_is_no_accuracy_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match=r"is not in \(0, 1\]; give a fraction or a perc|must be a number"):
        fraction("target accuracy", text)
    assert (fraction("a", "98%"), fraction("a", "0.98"), fraction("a", 1)) == (0.98, 0.98, 1.0)
