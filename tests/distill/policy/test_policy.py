"""Fitting a policy to a target: by hand, against every setting, and against the runtime that executes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.policy.fitting import (
    FittedPolicy,
    Runs,
    Target,
    best_order,
    fit_confidence,
    fit_static,
)
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Head, Measure
from sne_deploy.model.policy import MEASURES
from tests.runtime.test_run import Fake, inputs, run

NJ = 1e-9


def made(outputs: list[Any], labels: list[int], energy_nj: list[float]) -> Runs:
    """Runs of students whose samples all cost the same, with a head that takes the mean."""
    arrays = tuple(np.array(output, float) for output in outputs)
    energy = np.tile(np.array(energy_nj) * NJ, (len(labels), 1))
    return Runs(Head("mean"), arrays, np.array(labels), np.rint(energy / NJ).astype(np.int64), energy)


FIRST = [[4, 0], [1, 0], [1, 0], [0, 2]]
"""Classes 0 0 0 1, with probabilities of 0.982, 0.731, 0.731, 0.881."""
SECOND = [[0, 1], [0, 9], [2, 0], [3, 0]]
"""Alone 1 1 0 0; together with the first 0 1 0 0."""
BY_HAND = made([FIRST, SECOND], [0, 1, 0, 1], [2, 3])
"""The first alone is right on samples 0, 2, 3; both together on 0, 1, 2."""


def test_a_cascade_fitted_by_hand() -> None:
    """All are right on 3 of 4. A threshold of 0.731 (or less) asks the second student for nobody: 3 of 4 for
    2 nJ. Above it, samples 1 and 2 go on, and 4 of 4 are right: 2 x 2 and 2 x 5 nJ, a mean of 3.5."""
    cheap = fit_confidence(BY_HAND, Target(accuracy_drop=0.0), (0, 1))
    assert cheap.policy == ActivationPolicy("confidence", (0, 1), 0.731)
    assert (cheap.accuracy, cheap.accuracy_all, cheap.mean_students) == (0.75, 0.75, 1.0)
    assert cheap.energy_j == pytest.approx(2 * NJ)
    good = fit_confidence(BY_HAND, Target(energy_j=4 * NJ), (0, 1))
    assert good.policy == ActivationPolicy("confidence", (0, 1), 0.8807)
    assert (good.accuracy, good.mean_students) == (1.0, 1.5)
    assert good.energy_j == pytest.approx(3.5 * NJ)
    margin = fit_confidence(BY_HAND, Target(energy_j=4 * NJ), (0, 1), "margin")
    assert margin.policy == ActivationPolicy("confidence", (0, 1), 0.7615, measure="margin")
    assert margin.accuracy == 1.0


def test_a_static_policy_fitted_by_hand() -> None:
    assert fit_static(BY_HAND, Target(accuracy_drop=0.0), (0, 1)).policy.students == 1
    assert fit_static(BY_HAND, Target(accuracy_drop=0.25), (1, 0)).policy.students == 1
    found = fit_static(BY_HAND, Target(accuracy_drop=0.2), (1, 0))
    assert found.policy == ActivationPolicy("static", (1, 0), students=2)
    assert found.energy_j == pytest.approx(5 * NJ)
    assert fit_static(BY_HAND, Target(energy_j=4 * NJ), (1, 0)).accuracy == 0.5


def test_the_order_is_greedy() -> None:
    """Alone the third is right twice, the others once; beside it the first helps, the second does not."""
    tables = [[[9, 0], [0, 1], [0, 1]], [[0, 1], [9, 0], [0, 1]], [[0, 1], [1, 0], [1, 0]]]
    assert best_order(made(tables, [0, 0, 0], [1, 1, 1])) == (2, 0, 1)


@st.composite
def fits(draw: Any) -> tuple[Runs, tuple[int, ...], Measure]:
    count, samples = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    outputs = [rng.normal(size=(samples, 3)) * 2 for _ in range(count)]
    energy = rng.integers(1, 50, (samples, count)) * NJ
    labels = rng.integers(0, 3, samples)
    runs = Runs(Head("mean"), tuple(outputs), labels, rng.integers(1, 9, (samples, count)), energy)
    return runs, tuple(rng.permutation(count).tolist()), draw(st.sampled_from(MEASURES))


def executed(runs: Runs, policy: ActivationPolicy) -> tuple[float, float, float]:
    """Accuracy, energy and number of students as the runtime has them."""
    samples = len(runs.labels)
    found = run([Fake(o) for o in runs.outputs], inputs(*range(samples)), policy, labels=runs.labels)
    energy = float((found.active * runs.energy_j).sum() / samples)
    return float(found.accuracy or 0.0), energy, float(found.active.sum() / samples)


def same(fitted: FittedPolicy, found: tuple[float, float, float]) -> None:
    assert (fitted.accuracy, fitted.energy_j, fitted.mean_students) == pytest.approx(found, rel=1e-12)


@given(fits(), st.floats(0, 0.5))
def test_what_is_fitted_to_an_accuracy_is_what_runs_and_the_cheapest(made: Any, drop: float) -> None:
    """No threshold at all is cheaper: tried are the confidences themselves, and what lies between them."""
    runs, order, measure = made
    fitted = fit_confidence(runs, Target(accuracy_drop=drop), order, measure)
    same(fitted, executed(runs, fitted.policy))
    assert fitted.accuracy >= fitted.accuracy_all - drop - 1e-9
    for threshold in np.linspace(0.005, 1.0, 23):
        if threshold < (fitted.policy.threshold or 0.0):
            policy = ActivationPolicy("confidence", order, float(threshold), measure=measure)
            accuracy, energy, _ = executed(runs, policy)
            assert accuracy < fitted.accuracy_all - drop or energy >= fitted.energy_j - 1e-15
    static = fit_static(runs, Target(accuracy_drop=drop), order)
    same(static, executed(runs, static.policy))


@given(fits(), st.floats(0, 1))
def test_what_is_fitted_to_an_energy_is_what_runs_and_keeps_to_it(made: Any, between: float) -> None:
    runs, order, measure = made
    least, most = runs.energy_j[:, order[0]].mean(), runs.energy_j.sum(axis=1).mean()
    limit = least + between * (most - least) + 1e-15
    try:
        fitted = fit_confidence(runs, Target(energy_j=limit), order, measure)
    except InputError:  # every threshold above 0 that was tried asks a second student for somebody
        sure = ActivationPolicy("confidence", order, 1e-6, measure=measure)
        assert executed(runs, sure)[1] > limit - 1e-15
        return
    same(fitted, executed(runs, fitted.policy))
    assert fitted.energy_j <= limit
    static = fit_static(runs, Target(energy_j=limit), order)
    same(static, executed(runs, static.policy))
    affordable = [
        runs.right(runs.only(order[:k])).mean()
        for k in range(1, runs.students + 1)
        if runs.energy_j[:, list(order[:k])].sum(axis=1).mean() <= limit
    ]
    assert static.accuracy == max(affordable)


@given(fits(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_who_may_lose_more_pays_no_more(made: Any, one: float, other: float) -> None:
    runs, order, measure = made
    strict, lax = (
        fit_confidence(runs, Target(accuracy_drop=drop), order, measure) for drop in sorted((one, other))
    )
    assert lax.energy_j <= strict.energy_j
    assert (lax.policy.threshold or 0) <= (strict.policy.threshold or 0)


def test_an_accuracy_that_even_a_threshold_of_one_misses_is_said() -> None:
    """The first student is certain of the wrong class: softmax of (800, 0) is 1 in float64."""
    runs = made([[[800, 0], [0, 1]], [[0, 900], [0, 1]]], [1, 1], [1, 1])
    message = (
        r"policy\.accuracy_drop 0\.1 is not met by policy 'confidence' on 2 validation samples: "
        r"the least drop is 0\.5; allow that"
    )
    with pytest.raises(InputError, match=message):
        fit_confidence(runs, Target(accuracy_drop=0.1), (0, 1))
    assert fit_confidence(runs, Target(accuracy_drop=0.5), (0, 1)).accuracy == 0.5


@pytest.mark.parametrize("fit", [fit_static, fit_confidence])
def test_an_energy_that_cannot_be_met_is_said_with_the_least(fit: Any) -> None:
    with pytest.raises(
        InputError, match=r"policy\.energy_j 1e-09 is not met by policy .* the least is 2e-09 J"
    ):
        fit(BY_HAND, Target(energy_j=1 * NJ), (0, 1))
    assert fit(BY_HAND, Target(energy_j=2.01 * NJ), (0, 1)).mean_students == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give accuracy_drop or energy_j, one of both"),
        ({"accuracy_drop": 0.1, "energy_j": 1.0}, "one of both"),
        ({"accuracy_drop": -0.1}, r"policy\.accuracy_drop -0\.1 must be 0 or more"),
        ({"accuracy_drop": float("nan")}, r"policy\.accuracy_drop nan must be 0 or more"),
        ({"energy_j": 0.0}, r"policy\.energy_j 0\.0 must be above 0"),
    ],
)
def test_targets_that_cannot_be_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Target(**options)


def test_no_validation_samples_are_refused() -> None:
    with pytest.raises(InputError, match=r"no samples to fit it on; raise data\.validation"):
        made([np.zeros((0, 2))], [], [1])
