"""Points from one run are what a run with that policy reports: every integer, accuracies and energies."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sne_deploy as sne
from experiments.study.operating_points import (
    FullRun,
    OperatingPoint,
    cascade,
    first_students,
    fitted_points,
    run_all,
)
from sne_deploy.data import load_data
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Head, Measure

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
TEACHER = DIGITS / "teacher.onnx"
ORDER = (2, 0, 3, 1)


@cache
def digits(split: str = "digits") -> tuple[sne.Ensemble, Any, Any]:
    ensemble = replace(sne.load(DIGITS / "model.pt"), policy=ActivationPolicy("static", ORDER))
    data = load_data(split, input_shape=(1, 8, 8), timesteps=16, encoder=ensemble.encoder)
    return ensemble, data.x[:150], data.y[:150]


@cache
def full(split: str = "digits") -> FullRun:
    return run_all(*digits(split), teacher=TEACHER)


def with_policy(policy: ActivationPolicy, head: Head | None = None) -> sne.Result:
    ensemble, x, y = digits()
    ensemble = replace(ensemble, head=head or ensemble.head)
    with sne.compile(ensemble, "loihi", policy=policy, fidelity=False) as compiled:
        return compiled.run(x, y, teacher=TEACHER)


def equal(point: OperatingPoint, result: sne.Result) -> None:
    ours, report = point.row(), result.report
    assert point.counts == report.ensemble.totals
    assert report.ensemble.traffic is not None
    assert point.traffic == replace(report.ensemble.traffic, memory_words=0)
    assert point.traffic.messages > 0
    assert point.head_macs == report.shared.totals.host_macs
    assert point.accuracy == result.accuracy
    assert point.mean_students == report.ensemble.mean_active_students
    assert report.teacher is not None
    assert ours["energy_j"] == pytest.approx(report.ensemble.energy_per_sample_j.total, rel=1e-12)
    assert ours["ratio_ops"] == pytest.approx(report.teacher.ratio_ops, rel=1e-12)
    assert ours["ratio_energy"] == pytest.approx(report.teacher.ratio_energy, rel=1e-12)
    assert ours["teacher_energy_j"] == report.teacher.energy_j
    assert ours["teacher_accuracy"] == report.teacher.accuracy


@pytest.mark.parametrize("threshold", [1e-9, 0.5, 0.8, 0.95, 0.999, 1.0])
def test_a_threshold_is_what_the_runtime_does_with_it(threshold: float) -> None:
    (point,) = cascade(full(), [threshold])
    equal(point, with_policy(ActivationPolicy("confidence", ORDER, threshold)))


@pytest.mark.parametrize("measure", ["margin", "entropy"])
def test_so_is_another_measure(measure: Measure) -> None:
    (point,) = cascade(full(), [0.7], measure)
    equal(point, with_policy(ActivationPolicy("confidence", ORDER, 0.7, measure=measure)))
    assert 1.0 < point.mean_students < 4.0
    (fitted,) = fitted_points(full("digits:train"), full(), (0.05,), measure)
    assert fitted.row()["measure"] == measure


def test_thresholds_tell_samples_apart() -> None:
    students = [point.mean_students for point in cascade(full(), [1e-9, 0.5, 0.8, 0.95, 0.999])]
    assert students == sorted(students)
    assert students[0] == 1.0
    assert len(set(students)) == len(students)
    assert students[-1] < 4.0


def test_the_first_students() -> None:
    points = first_students(full())
    for point in points:
        equal(point, with_policy(point.policy))
    equal(points[-1], with_policy(ActivationPolicy("static", ORDER)))
    equal(points[0], with_policy(ActivationPolicy("confidence", ORDER, 1e-9)))
    everyone = full().run.students
    for k, point in enumerate(points, 1):
        wanted = sum(int(everyone[index].synops.sum()) for index in ORDER[:k])
        assert (point.policy.students, point.mean_students, point.counts.synops) == (k, k, wanted)


def test_rows_are_plain_and_count_updates_as_operations() -> None:
    point = first_students(full())[1]
    row = json.loads(json.dumps(point.row(), allow_nan=False))
    operations = row["synops"] + row["host_macs"]
    assert row["ratio_ops"] == pytest.approx(row["teacher_macs"] / operations)
    operations += row["updates_active"]
    assert row["ratio_ops_updates"] == pytest.approx(row["teacher_macs"] / operations)
    operations += row["updates_idle"]
    assert row["ratio_ops_all_updates"] == pytest.approx(row["teacher_macs"] / operations)
    assert row["updates_active"] > 0
    assert row["updates_idle"] > 0
    assert row["drop"] == pytest.approx(row["teacher_accuracy"] - row["accuracy"])
    assert set(run_all(*digits()).run.students[0].synops) == set(full().run.students[0].synops)
    bare = first_students(run_all(*digits()))[1].row()
    assert {key: row[key] for key in bare} == bare
    assert "teacher_accuracy" not in bare


def test_thresholds_are_chosen_on_validation_data_alone() -> None:
    validation, test = full("digits:train"), full()
    assert validation.teacher is not None
    assert validation.teacher.accuracy is not None
    for point in fitted_points(validation, test, (0.0, 0.01, 0.05, 0.3)):
        threshold = point.validation.policy.threshold
        assert threshold is not None
        assert point.reached == (
            point.validation.accuracy >= validation.teacher.accuracy - point.allowed_drop
        )
        assert point.test.policy.threshold == threshold
        equal(point.test, with_policy(ActivationPolicy("confidence", ORDER, threshold)))
        needed = validation.teacher.accuracy - point.allowed_drop
        for cheaper in cascade(validation, [step / 1e4 for step in range(1, round(threshold * 1e4), 97)]):
            same = cheaper.mean_students == point.validation.mean_students
            assert same or not point.reached or cheaper.accuracy < needed
    json.dumps([point.row() for point in fitted_points(validation, test)], allow_nan=False)


def test_where_anything_will_do_one_student_runs() -> None:
    (point,) = fitted_points(full("digits:train"), full(), (1.0,))
    assert point.reached
    assert point.validation.mean_students == 1.0


def test_a_drop_out_of_reach_is_said() -> None:
    (point,) = fitted_points(full("digits:train"), full(), (-0.5,))
    assert not point.reached
    assert point.test.policy.threshold == 1.0
    assert point.row()["reached"] is False


def test_what_cannot_be_measured_is_refused() -> None:
    ensemble, x, y = digits()
    with pytest.raises(InputError, match="run both with teacher="):
        fitted_points(run_all(ensemble, x, y), full())
    with pytest.raises(InputError, match=r"a drop of nan is no fraction"):
        fitted_points(full(), full(), (float("nan"),))
    with pytest.raises(InputError, match=r"threshold 1\.5 is not in \(0, 1\]"):
        cascade(full(), [1.5])
    unlabelled = replace(full(), run=replace(full().run, labels=None))
    with pytest.raises(InputError, match="accuracies need labels; give y"):
        first_students(unlabelled)
    assert np.isfinite(full().run.students[0].outputs).all()
