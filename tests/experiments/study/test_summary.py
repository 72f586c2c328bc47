"""A row repeats what the reports say, in plain values."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import sne_deploy as sne
from experiments.study import summary
from experiments.study.summary import ratios
from sne_deploy.chips.chip import load_chip
from sne_deploy.distill.experiment import Experiment, parse_experiment
from sne_deploy.energy.accounting import Counts
from tests.distill.test_run import DOCUMENT

pytestmark = pytest.mark.usefixtures("warm_lava")

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
TEACHER = DIGITS / "teacher.onnx"


def experiment(**changes: Any) -> Experiment:
    return parse_experiment({**DOCUMENT, "quantisation": {"weight_bits": 6}, **changes})


@cache
def digits() -> tuple[sne.Ensemble, Any, Any]:
    ensemble = sne.load(DIGITS / "model.pt")
    data = summary.test_data(experiment(), ensemble)
    return ensemble, data.x[:120], data.y[:120]


def test_a_row_is_the_reports() -> None:
    ensemble, x, y = digits()
    (row,) = summary.measure(ensemble, x, y, name="digits", teacher=TEACHER, verify=1)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    with sne.compile(ensemble, "loihi", fidelity=True) as compiled:
        report = compiled.run(x, y, teacher=TEACHER).report
    ours, theirs = report.ensemble, report.teacher
    assert theirs is not None
    assert report.fidelity is not None
    expected = {
        "name": "digits",
        "weight_bits": 8,
        "samples": 120,
        "timesteps": 16,
        "students": 4,
        "float_accuracy": report.fidelity.float_accuracy,
        "accuracy": ours.accuracy,
        "agreement": report.fidelity.agreement,
        "mean_students": ours.mean_active_students,
        "synops": ours.synops_per_sample,
        "spikes": ours.spikes_per_sample,
        "host_macs": ours.host_macs_per_sample,
        "updates_active": ours.updates_active_per_sample,
        "updates_idle": ours.updates_idle_per_sample,
        "energy_j": ours.energy_per_sample_j.total,
        "energy_interval_j": list(ours.energy_per_sample_j.interval),
        "energy_excludes": ["static"],
        "energy_error_neurocore": report.hardware.constants["error.neurocore"].value,
        "teacher_accuracy": theirs.accuracy,
        "teacher_macs": theirs.macs,
        "teacher_energy_j": theirs.energy_j,
        "ratio_ops": pytest.approx(theirs.ratio_ops, rel=1e-12),
        "ratio_energy": pytest.approx(theirs.ratio_energy, rel=1e-12),
        "verified_against": "lava",
        "verified_samples": 1,
        "differing_bits": 0,
    }
    assert {name: row[name] for name in expected} == expected
    operations = row["synops"] + row["host_macs"] + row["updates_active"]
    assert row["ratio_ops_updates"] == pytest.approx(row["teacher_macs"] / operations)
    operations += row["updates_idle"]
    assert row["ratio_ops_all_updates"] == pytest.approx(row["teacher_macs"] / operations)
    assert set(row) == {*expected, "ratio_ops_updates", "ratio_ops_all_updates"}


def test_fewer_bits_are_compiled_anew() -> None:
    ensemble, x, y = digits()
    rows = summary.measure(ensemble, x, y, (8, 4, 2))
    assert [row["weight_bits"] for row in rows] == [8, 4, 2]
    assert len({row["float_accuracy"] for row in rows}) == 1
    for row in rows:
        with sne.compile(ensemble, "loihi", weight_bits=row["weight_bits"], fidelity=False) as compiled:
            run = compiled.run(x, y)
        assert row["accuracy"] == run.accuracy
        assert row["synops"] == run.report.ensemble.synops_per_sample
    assert rows[2]["accuracy"] < rows[0]["accuracy"]
    assert rows[2]["agreement"] < rows[0]["agreement"]
    assert rows[0]["teacher_accuracy"] is rows[0]["ratio_ops"] is rows[0]["differing_bits"] is None


COUNTS = Counts(
    synops=600, spikes=90, input_spikes=0, updates_active=300, updates_idle=500, host_macs=400, samples_run=10
)


def test_ratios_by_hand() -> None:
    hardware = load_chip("loihi1")
    found = ratios(COUNTS, 5000, hardware)
    energy, mac = hardware.energy, hardware.host.mac.si
    joules = (
        60 * energy.synop.si
        + (30 + 50) * energy.update_active.si
        + 9 * energy.spike_within_tile.si
        + 40 * mac
    )
    assert found == {
        "ratio_ops": pytest.approx(5000 / 100),
        "ratio_ops_updates": pytest.approx(5000 / 130),
        "ratio_ops_all_updates": pytest.approx(5000 / 180),
        "energy_j": pytest.approx(joules),
        "teacher_energy_j": pytest.approx(5000 * mac),
        "ratio_energy": pytest.approx(5000 * mac / joules),
    }


def test_what_is_not_modelled_is_none() -> None:
    unmodelled = ratios(replace(COUNTS, updates_active=None, updates_idle=None), 5000, load_chip("loihi1"))
    assert unmodelled["ratio_ops"] == pytest.approx(50)
    assert unmodelled["ratio_ops_updates"] is unmodelled["ratio_ops_all_updates"] is None
    nothing = ratios(Counts(0, 0, 0, 0, 0, 0, 10), 5000, load_chip("loihi1"))
    assert nothing["ratio_ops"] is nothing["ratio_energy"] is None
