"""report.json: valid against the committed schema, stable, and never half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from sne_deploy.chips.chip import load_chip
from sne_deploy.errors import OutputError, VerificationError
from sne_deploy.report.file import Report, report_text
from sne_deploy.report.schema import SCHEMA_FILE, json_schema, schema_text


@pytest.fixture
def report(make_student: Any, make_result: Any, make_report: Any) -> Report:
    students = [make_student(name, [1, 0, 1], np.random.default_rng(1)) for name in ("one", "µ two")]
    return make_report(make_result(students, labels=[1, 1, 0]))


def test_the_committed_schema_is_current() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == schema_text(), "run python -m sne_deploy.report.schema"


def test_the_schema_is_a_schema_and_closed() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in [schema, *schema["$defs"].values()]:
        assert part["additionalProperties"] is False
        assert sorted(part["required"]) == sorted(part["properties"])


def test_the_file_validates_and_reads_back_equal(report: Report, tmp_path: Path) -> None:
    path = report.save(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "report.json"
    text = path.read_text("utf-8")
    jsonschema.validate(json.loads(text), json.loads(SCHEMA_FILE.read_text("utf-8")))
    assert Report.model_validate_json(text) == report
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


def test_the_keys_are_those_of_the_design_in_its_order(report: Report) -> None:
    document = json.loads(report_text(report))
    assert list(document) == [
        "schema_version", "converted_from", "model", "target", "precision", "hardware", "data", "policy",
        "mapping", "unplaced", "operation", "students", "shared", "ensemble", "teacher",
        "fidelity", "verified", "comparison", "assumed", "dead", "warnings", "provenance",
    ]  # fmt: skip
    costs = {
        "synops_per_sample", "spikes_per_sample", "input_spikes_per_sample", "updates_active_per_sample",
        "updates_idle_per_sample", "host_macs_per_sample", "energy_per_sample_j", "totals",
    }  # fmt: skip
    on_chip = {
        "cores", "chips", "latency_s", "throughput_per_s", "messages_per_sample", "hops_per_sample",
        "memory_words_per_sample", "traffic", "time", "power",
    }  # fmt: skip
    assert set(document["shared"]) == costs | {"total_host_macs_of"}
    assert list(document["policy"]) == ["kind", "order", "threshold", "measure", "students", "gate"]
    assert set(document["ensemble"]) == costs | on_chip | {
        "accuracy", "balanced_accuracy", "tied_fraction", "classes", "mean_active_students",
    }  # fmt: skip
    student = document["students"][0]
    assert set(student) == costs | on_chip | {
        "name", "active_fraction", "accuracy", "balanced_accuracy", "layers",
    }  # fmt: skip
    assert list(student["energy_per_sample_j"]) == [
        "total", "total_excludes", "synops", "updates", "spikes", "hops", "host", "static", "interval",
    ]  # fmt: skip
    assert list(student["layers"][0]) == [
        "name", "kind", "shape", "synops_per_sample", "spikes_per_sample", "rate", "weights",
        "saturated_weights", "u_wraps", "u_wrap_rate", "v_saturations", "v_saturation_rate",
        "quantisation_snr_db", "rate_float", "spike_agreement", "spikes_differing_per_sample",
        "worst_neuron",
    ]  # fmt: skip


def test_the_text_is_the_same_every_time(report: Report) -> None:
    assert report_text(report) == report_text(Report.model_validate_json(report_text(report)))


def test_every_constant_that_was_used_has_its_source(report: Report) -> None:
    assert set(report.hardware.constants) == {
        "energy.synop", "energy.update_active", "energy.spike_within_tile", "energy.hop_east_west",
        "energy.hop_north_south", "host.mac", "power.static_per_core", "power.x86_per_processor",
        "error.neurocore", *load_chip("loihi1").constants("time"),
    }  # fmt: skip
    assert set(report.hardware.intervals) == {"neurocore", "x86", "static"}
    assert all(constant.source and constant.unit for constant in report.hardware.constants.values())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1.0"])
def test_no_number_outside_json_or_below_zero_gets_in(report: Report, number: str) -> None:
    wall = '"wall_s": 0.5'
    text = report_text(report)
    assert text.count(wall) == 1
    with pytest.raises(ValueError, match="wall_s"):
        Report.model_validate_json(text.replace(wall, f'"wall_s": {number}'))


def test_a_report_that_does_not_add_up_is_not_written(report: Report, tmp_path: Path) -> None:
    broken = report.model_copy(
        update={"ensemble": report.ensemble.model_copy(update={"mean_active_students": 2.0})}
    )
    with pytest.raises(VerificationError, match="mean_active_students"):
        broken.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_refused(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write output folder"):
        report.save(tmp_path / "out")
