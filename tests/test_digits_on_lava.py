"""The main job, whole: every held-out digit through the committed ensemble in Lava, in fixed point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from sne_deploy.energy.accounting import COUNTED
from sne_deploy.report.check import check_report
from sne_deploy.report.file import Report, load_report
from tests.command_line import Outcome, command

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
STUDENTS = ["conv", "dense", "current", "recurrent"]


@dataclass(frozen=True)
class Run:
    """The command's outcome and its report."""

    outcome: Outcome
    report: Report


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("digits")
    outcome = command(
        DIGITS / "model.pt", "--target", "lava", "--teacher", DIGITS / "teacher.onnx", "--out", out
    )
    assert outcome.status == 0, outcome.stderr
    return Run(outcome, load_report(out))


def test_it_ran_everything_in_fixed_point(run: Run) -> None:
    report = run.report
    assert (report.target, report.precision, report.hardware.name) == ("lava", "fixed", "loihi1")
    assert (report.data.name, report.data.samples, report.data.timesteps) == ("digits", 460, 16)
    assert [student.name for student in report.students] == STUDENTS


def test_accuracy_is_within_a_point_of_floating_point_and_above_95_percent(run: Run) -> None:
    fidelity = run.report.fidelity
    assert fidelity is not None
    assert fidelity.fixed_accuracy == run.report.ensemble.accuracy
    assert fidelity.fixed_accuracy is not None
    assert fidelity.float_accuracy is not None
    assert fidelity.fixed_accuracy >= fidelity.float_accuracy - 0.010
    assert fidelity.fixed_accuracy > 0.95
    assert fidelity.agreement > 0.98


def test_the_ensemble_is_the_sum_of_its_parts(run: Run) -> None:
    report = run.report
    check_report(report)
    for count in COUNTED:
        parts = [getattr(part.totals, count) for part in (report.shared, *report.students)]
        assert getattr(report.ensemble.totals, count) == sum(parts)
    assert report.ensemble.totals.synops > 0
    energy = report.ensemble.energy_per_sample_j
    parts = (energy.synops, energy.updates, energy.spikes, energy.hops, energy.host)
    assert energy.total == pytest.approx(sum(parts))
    assert energy.total_excludes == ("static",)


def test_every_student_ran_on_everything_and_every_layer_spiked_alike(run: Run) -> None:
    for student in run.report.students:
        assert student.active_fraction == 1.0
        assert student.totals.samples_run == 460
        assert student.accuracy is not None
        for layer in student.layers:
            if layer.spikes_per_sample:
                assert layer.spike_agreement is not None, (student.name, layer.name)
                assert layer.spike_agreement > 0.7, (student.name, layer.name)
                assert layer.quantisation_snr_db is None or layer.quantisation_snr_db > 20
                assert layer.rate is not None
                assert 0.01 < layer.rate < 0.5


def test_the_teacher_is_compared_on_the_same_samples(run: Run) -> None:
    teacher = run.report.teacher
    assert teacher is not None
    assert teacher.macs == 337_536
    assert teacher.uncounted == ()
    assert teacher.accuracy is not None
    assert teacher.accuracy > 0.98
    ours = run.report.ensemble
    assert ours.synops_per_sample is not None
    assert ours.host_macs_per_sample is not None
    assert teacher.ratio_ops == pytest.approx(
        teacher.macs / (ours.synops_per_sample + ours.host_macs_per_sample)
    )


def test_the_table_has_a_row_for_everyone(run: Run) -> None:
    rows = re.findall(r"^ (\w+) ", run.outcome.stdout, re.MULTILINE)
    everyone = [*STUDENTS, "ensemble"]
    power = ["power", "neurocores", "x86", "static"]
    assert rows == ["per", *everyone, "teacher", "on", *everyone, *power]


def test_the_tutorial_shows_this_table(run: Run) -> None:
    """Kept true by scripts/update_demo.py."""
    page = (DIGITS.parents[1] / "docs" / "get_started.md").read_text("utf-8")
    shown = page.split("```text\n", 1)[1].split("```", 1)[0]
    assert shown.splitlines()[1:] == run.outcome.stdout.splitlines()[1:]
