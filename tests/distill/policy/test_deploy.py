"""Policies of whole experiments: what was fitted is what every target then runs, and what the report says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.chips.chip import load_chip
from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.policy.deploy import gate_training, run_deployed
from sne_deploy.distill.policy.gate import GateTraining
from sne_deploy.distill.run import Distilled, run_experiment
from sne_deploy.energy.accounting import energy_per_sample
from sne_deploy.errors import InputError
from tests.distill.test_run import DOCUMENT

pytestmark = pytest.mark.usefixtures("warm_lava")

GATE = {"grid": 3, "hidden": 5, "epochs": 2}
PLAIN: dict[str, Any] = {
    **DOCUMENT, "partition": {}, "joint": None, "quantisation": {},
    "students": {**DOCUMENT["students"], "count": 3, "copies": 0,
                 "schedule": {"epochs": 12, "batch_size": 16, "learning_rate": 1e-2}},
}  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The students are trained once for all policies."""
    return tmp_path_factory.mktemp("work")


def distilled(work: Path, **policy: Any) -> Distilled:
    return run_experiment(parse_experiment({**PLAIN, "policy": policy}), work)


FITTED = [
    {"kind": "static", "accuracy_drop": 0.1},
    {"kind": "confidence", "accuracy_drop": 0.05},
    {"kind": "confidence", "measure": "entropy", "accuracy_drop": 0.1},
    {"kind": "confidence", "measure": "margin", "energy_j": 1e-6},
    {"kind": "gate", "accuracy_drop": 0.1, "gate": GATE},
    {"kind": "gate", "energy_j": 1e-6, "gate": GATE},
]


@pytest.mark.parametrize("policy", FITTED, ids=lambda policy: "-".join(str(v) for v in policy.values())[:28])
def test_the_deployed_ensemble_does_what_was_fitted(work: Path, tmp_path: Path, policy: Any) -> None:
    """On the validation data, from model.pt: accuracy, students, joules, the gate's MACs among them."""
    made = distilled(work, **policy)
    fitted = made.fitted
    assert fitted is not None
    made.ensemble.save(tmp_path / "model.pt")
    ensemble = sne.load(tmp_path / "model.pt")
    assert ensemble.policy == fitted.policy
    data = load_splits(parse_experiment(PLAIN).data, 0)
    x, y = data.x_validation.numpy(), data.y_validation
    with sne.compile(ensemble, "loihi", fidelity=False) as compiled:
        report = compiled.run(x, y).report
    assert report.ensemble.accuracy == pytest.approx(fitted.accuracy, rel=1e-12)
    assert report.ensemble.mean_active_students == pytest.approx(fitted.mean_students, rel=1e-12)
    assert report.ensemble.energy_per_sample_j.total == pytest.approx(fitted.energy_j, rel=1e-9)
    assert report.policy.kind == policy["kind"]
    if "energy_j" in policy:
        assert fitted.energy_j <= policy["energy_j"]
    else:
        assert fitted.accuracy >= fitted.accuracy_all - policy["accuracy_drop"] - 1e-9
    gate = 64 + 9 * 5 + 5 * 3 if policy["kind"] == "gate" else 0
    assert report.shared.total_host_macs_of["gate"] == gate * len(y)
    with sne.compile(ensemble, "loihi", fidelity=False, policy=sne.ActivationPolicy()) as compiled:
        everyone = compiled.run(x, y).report.ensemble
    assert everyone.accuracy == pytest.approx(fitted.accuracy_all, rel=1e-12)


@pytest.mark.parametrize(
    "policy", [FITTED[2], FITTED[4], {"students": 2}], ids=lambda policy: str(policy)[:24]
)
def test_every_target_activates_the_same_students(work: Path, policy: Any) -> None:
    """lava as loihi to the bit; a gate and a fixed number of students on every target: the input is the same.
    netx keeps biases in registers of its own, and norse computes in floating point: other logits."""
    ensemble = distilled(work, **policy).ensemble
    x = load_splits(parse_experiment(PLAIN).data, 0).x_validation.numpy()[:4]
    runs = {}
    for target in ("loihi", "lava", "netx", "norse"):
        with sne.compile(ensemble, target, fidelity=False) as compiled:
            runs[target] = compiled.run(x)
    np.testing.assert_array_equal(runs["lava"].active, runs["loihi"].active)
    np.testing.assert_array_equal(runs["lava"].logits, runs["loihi"].logits)
    for target in ("netx", "norse"):
        if policy.get("kind") != "confidence":
            np.testing.assert_array_equal(runs[target].active, runs["loihi"].active)
        assert np.isfinite(runs[target].logits).all()


def test_a_fixed_number_of_students_needs_no_fit(work: Path) -> None:
    made = distilled(work, kind="static", students=2)
    assert made.fitted is None
    assert made.ensemble.policy.students == 2
    assert distilled(work).ensemble.policy.students is None


def test_the_same_experiment_gives_the_same_gate(work: Path) -> None:
    assert distilled(work, **FITTED[4]).fitted == distilled(work, **FITTED[4]).fitted


def test_a_gate_is_what_the_experiment_says_it_is() -> None:
    described = {**PLAIN, "seed": 7, "policy": {"kind": "gate", "gate": GATE}}
    assert gate_training(parse_experiment(described)) == GateTraining(**GATE, seed=7)
    assert gate_training(parse_experiment({**DOCUMENT, "seed": 3})) == GateTraining(seed=3)


def test_a_target_out_of_reach_is_one_line_with_the_key(work: Path) -> None:
    for kind in ("static", "confidence", "gate"):
        with pytest.raises(
            InputError, match=rf"^policy\.energy_j 1e-15 is not met by policy '{kind}'"
        ) as error:
            distilled(work, kind=kind, energy_j=1e-15)
        assert "\n" not in str(error.value)


def test_joules_of_samples_sum_to_the_report_s(work: Path) -> None:
    ensemble, hardware = distilled(work).ensemble, load_chip("loihi1")
    data = load_splits(parse_experiment(PLAIN).data, 0)
    x = data.x_validation.numpy()
    with sne.compile(ensemble, "loihi", fidelity=False) as compiled:
        students = compiled.run(x).students
    energy_j = run_deployed(ensemble, x, data.y_validation).energy_j
    assert energy_j.shape == (len(x), len(students))
    for student, joules in zip(students, energy_j.T, strict=True):
        whole = energy_per_sample(student.counts, hardware).total
        assert joules.mean() == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"kind": "greedy"}, "policy.kind: input should be 'static', 'confidence' or 'gate'"),
        ({"accuracy_drop": 0.1, "energy_j": 1.0}, "give accuracy_drop or energy_j, not both"),
        ({"energy_j": 0.0}, "policy.energy_j: input should be greater than 0"),
        ({"students": 4}, "policy.students 4 is more than students.count 3"),
        ({"students": 0}, "policy.students: input should be greater than or equal to 1"),
        ({"kind": "gate", "students": 1}, "students is of kind 'static' alone"),
        ({"students": 1, "accuracy_drop": 0.1}, "without accuracy_drop and energy_j"),
        ({"kind": "gate", "measure": "margin"}, "measure is of kind 'confidence' alone"),
        ({"kind": "confidence", "measure": "luck"}, "policy.measure: input should be 'max_probability'"),
        ({"kind": "confidence", "gate": GATE}, "gate is of kind 'gate' alone"),
        ({"kind": "gate", "gate": {"grid": 0}}, "policy.gate.grid: input should be greater than or equal"),
        (
            {"kind": "gate", "gate": {"hidden": 5000}},
            "policy.gate.hidden: input should be less than or equal",
        ),
        ({"kind": "gate", "gate": {"depth": 2}}, "policy.gate.depth: unknown key"),
    ],
)
def test_wrong_keys_are_named(policy: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_experiment({**PLAIN, "policy": policy})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_gate_of_many_students_is_refused_before_any_training() -> None:
    students = {**PLAIN["students"], "count": 13}
    with pytest.raises(InputError, match=r"policy\.kind 'gate' takes at most 12 students, not 13"):
        parse_experiment({**PLAIN, "students": students, "policy": {"kind": "gate"}})
