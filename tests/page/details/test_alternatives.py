"""Every alternative is what a run with that policy reports, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.energy.accounting import add_counts, energy_per_sample
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble, Gate
from sne_deploy.page.details import alternatives as module
from sne_deploy.page.details.alternatives import AlternativeModel, AlternativesModel
from sne_deploy.result import Result
from sne_deploy.runtime.result import StudentResult
from tests.effort import examples
from tests.networks import INPUT_SHAPE, network
from tests.runtime.test_lengths import LENGTHS, STEPS, samples


def run(ensemble: Ensemble, x: Any, y: Any, policy: ActivationPolicy, **options: Any) -> Result:
    with sne.compile(ensemble, options.pop("target", "loihi"), policy=policy, fidelity=False) as compiled:
        return compiled.run(x, y, **options)


def of(result: Result) -> AlternativesModel:
    assert result.details.alternatives is not None
    return result.details.alternatives


def policy_of(point: AlternativeModel, found: AlternativesModel, own: ActivationPolicy, names: Any) -> Any:
    order = tuple(names.index(name) for name in point.students)
    whole = (*order, *(k for k in range(len(names)) if k not in order))
    if point.threshold is None:
        return ActivationPolicy("static", whole, students=len(order))
    if found.kind == "gate":
        return ActivationPolicy("gate", own.order, point.threshold, gate=own.gate)
    return ActivationPolicy("confidence", whole, point.threshold, len(order), found.measure)


def assert_are_runs(ensemble: Ensemble, x: Any, y: Any, policy: ActivationPolicy, **options: Any) -> None:
    """Some of each role."""
    found = of(run(ensemble, x, y, policy, **options))
    names = [student.name for student in ensemble.students]
    rng = np.random.default_rng(0)
    roles = {role: [each for each in found.points if each.role == role] for role in ("alone", "first")}
    chosen = [found.points[0], roles["alone"][-1], roles["first"][0]]
    limits = [each for each in found.points if each.role == "threshold"]
    chosen += [limits[k] for k in rng.choice(len(limits), examples(2), replace=False)]
    for point in chosen:
        own = policy if point.role == "policy" else policy_of(point, found, policy, names)
        report = run(ensemble, x[: found.samples], y[: found.samples], own, **options).report.ensemble
        assert point.accuracy == report.accuracy
        assert point.energy_j == report.energy_per_sample_j.total
        assert point.interval_j == report.energy_per_sample_j.interval
        assert point.synops == report.synops_per_sample
        assert point.mean_active_students == report.mean_active_students


@pytest.mark.parametrize(
    "policy",
    [
        ActivationPolicy(),
        ActivationPolicy("static", (2, 1, 0, 3), students=2),
        ActivationPolicy("confidence", (3, 2, 1, 0), 0.6, 3, "margin"),
    ],
    ids=["all", "two", "cascade"],
)
def test_alternatives_are_runs(policy: ActivationPolicy) -> None:
    _, _, x, y = digits_split()
    assert_are_runs(sne.load("examples/digits/model.pt"), x[:30], y[:30], policy)


def ragged(policy: ActivationPolicy) -> Ensemble:
    made = sne.ensemble(
        [network("dense", 1), network("dense", 2)], input_shape=INPUT_SHAPE, timesteps=STEPS,
        encoder=sne.Encoder("spikes"),
    )  # fmt: skip
    return type(made)(**{**vars(made), "policy": policy})


def gated() -> ActivationPolicy:
    rng = np.random.default_rng(5)
    tensors = (rng.normal(size=shape).astype(np.float32) * 3 for shape in ((3, 4), (3,), (2, 3), (2,)))
    return ActivationPolicy("gate", (), 0.5, gate=Gate((1, 2, 2), *tensors))


@pytest.mark.parametrize(
    "policy", [gated(), ActivationPolicy("confidence", (), 0.6)], ids=["gate", "cascade"]
)
@pytest.mark.parametrize("target", ["loihi", "norse"])
def test_samples_of_different_lengths_and_a_gate(policy: ActivationPolicy, target: str) -> None:
    y = np.arange(len(LENGTHS)) % 2
    assert_are_runs(ragged(policy), samples("spikes"), y, policy, target=target)


def test_a_long_run_is_judged_on_its_first_samples_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SAMPLES", 20)
    monkeypatch.setattr(module, "MAX_THRESHOLDS", 5)
    _, _, x, y = digits_split()
    ensemble, policy = sne.load("examples/digits/model.pt"), ActivationPolicy("confidence", (), 0.5)
    found = of(run(ensemble, x[:40], y[:40], policy))
    assert found.samples == 20
    assert 1 <= len([each for each in found.points if each.role == "threshold"]) <= 6
    assert found.points[0].accuracy == run(ensemble, x[:20], y[:20], policy).accuracy
    assert of(run(ensemble, x[:40], y[:40], ActivationPolicy())).samples == 40


def test_what_the_target_did_not_count_is_in_no_alternative() -> None:
    """Where samples run again on a target that counts more than the run's own did."""
    _, _, x, y = digits_split()
    source = run(
        sne.load("examples/digits/model.pt"), x[:10], y[:10], ActivationPolicy("confidence", (), 0.5)
    ).source

    def uncounted(student: StudentResult) -> StudentResult:
        layers = [replace(layer, updates_active=None, updates_idle=None) for layer in student.layers]
        return replace(student, trace=replace(student.trace, layers=tuple(layers)), placed=None)

    less = replace(source.run, students=tuple(uncounted(each) for each in source.run.students))
    found = module.alternatives(replace(source, run=less))
    assert found is not None
    counts = add_counts([less.shared_counts, *(each.counts for each in less.students)], 10)
    expected = energy_per_sample(counts, source.chip)
    assert (expected.updates, expected.hops) == (None, None)
    assert found.points[0].energy_j == expected.total
    assert {point.interval_j for point in found.points} == {None}


def test_without_labels_there_is_nothing_to_judge() -> None:
    _, _, x, _ = digits_split()
    result = run(sne.load("examples/digits/model.pt"), x[:3], None, ActivationPolicy())
    assert result.details.alternatives is None


def test_one_student_has_no_alternative() -> None:
    made = sne.ensemble([network("dense", 1)], input_shape=INPUT_SHAPE, timesteps=STEPS)
    x = np.random.default_rng(0).integers(0, 2, (4, STEPS, *INPUT_SHAPE)).astype(np.uint8)
    found = of(run(made, x, np.array([0, 1, 0, 1]), ActivationPolicy()))
    assert [each.role for each in found.points] == ["policy"]
    assert found.kind is None
