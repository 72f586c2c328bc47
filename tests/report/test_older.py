"""Reports of schema 1 are read: what they did not have is null, what they said is as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sne_deploy.chips.chip import load_chip
from sne_deploy.errors import InputError
from sne_deploy.report.chip_schema import OnChipModel
from sne_deploy.report.file import Report, load_report, report_text
from sne_deploy.report.notes import report_notes

CHIP = tuple(OnChipModel.model_fields)
LATER = {
    "1.0": ("rate_float", "spikes_differing_per_sample"),
    "1.1": ("policy", "total_host_macs_of"),
    "1.2": (
        "weights", "u_wraps", "u_wrap_rate", "v_saturations", "v_saturation_rate", "worst_neuron", "dead",
        "balanced_accuracy", "tied_fraction", "classes", "assumed",
    ),
    "1.3": ("converted_from", "mapping", "unplaced", "operation", "intervals"),
}  # fmt: skip
"""What came after a version."""
PJ = 1e-12


@pytest.fixture(scope="module")
def today(make_student: Any, make_result: Any, make_report: Any) -> Report:
    students = [
        make_student(name, on, np.random.default_rng(3)) for name, on in (("a", [1, 1]), ("b", [0, 1]))
    ]
    return make_report(make_result(students, labels=[1, 0]), warnings=())


def of_version(report: Report, version: str) -> dict[str, Any]:
    """As that version would have written it: without what came later, idle updates at 52 pJ."""
    document = json.loads(report_text(report))
    for later in [names for first, names in LATER.items() if first >= version]:
        for name in later:
            _drop(document, name)
    document["schema_version"] = version
    document["hardware"]["constants"]["energy.update_idle"] = load_chip(
        "loihi1"
    ).energy.update_idle.model_dump()
    for cost in (*document["students"], document["ensemble"], document["shared"]):
        for name in CHIP:
            if name not in ("latency_s", "cores") or cost is document["ensemble"]:
                cost.pop(name, None)
        energy, totals = cost["energy_per_sample_j"], cost["totals"]
        energy["updates"] = (totals["updates_active"] * 81 + totals["updates_idle"] * 52) * PJ
        energy["updates"] /= totals["samples_run"]
        energy["total"] = sum(energy[part] for part in ("synops", "updates", "spikes", "host"))
        energy["interval"] = None
    return document


def _drop(node: Any, name: str) -> None:
    if isinstance(node, dict):
        node.pop(name, None)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _drop(child, name)


@pytest.mark.parametrize("version", LATER)
def test_an_older_report_is_read_and_nothing_is_made_up(today: Report, version: str, tmp_path: Path) -> None:
    old = of_version(today, version)
    (tmp_path / "report.json").write_text(json.dumps(old))
    report = load_report(tmp_path)
    assert report.converted_from == version
    read = json.loads(report_text(report))
    _same_or_null(old, {**read, "schema_version": version})
    assert [note for label, note in report_notes(report) if version in note and label == "energy"]
    assert load_report(report.save(tmp_path / "again")) == report


def _same_or_null(old: Any, new: Any) -> None:
    """All that was said is there; all that is there and was not said is null, or says where it is from."""
    if isinstance(old, dict):
        assert set(old) <= set(new)
        for name, value in new.items():
            if name in old:
                _same_or_null(old[name], value)
            elif name not in ("converted_from", "unplaced", "intervals"):
                assert value is None, name
    elif isinstance(old, list):
        assert len(old) == len(new)
        for ours, theirs in zip(old, new, strict=True):
            _same_or_null(ours, theirs)
    else:
        assert old == new


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda old: old["ensemble"].update(synops_per_sample=1.0), "contradict .*synops_per_sample"),
        (lambda old: old["ensemble"]["energy_per_sample_j"].update(updates=1.0), "updates energy is 1.0 J"),
        (lambda old: old.update(schema_version="0.9"), "not a report of this version"),
        (lambda old: old.pop("students"), "students: Field required"),
        (lambda old: old.update(students=3), "students: Input should be a valid"),
        (lambda old: old["students"][0].update(layers=[7]), "layers"),
        (lambda old: old.update(hardware=[]), "hardware"),
        (lambda old: old["provenance"].update(seed=float("nan")), "seed"),
    ],
)
def test_a_damaged_older_report_is_one_line(today: Report, change: Any, message: str, tmp_path: Path) -> None:
    old = of_version(today, "1.3")
    change(old)
    _refused(json.dumps(old), message, tmp_path)


def test_a_number_of_thousands_of_digits_is_one_line(today: Report, tmp_path: Path) -> None:
    text = json.dumps(of_version(today, "1.3"))
    assert '"seed": 0' in text
    _refused(text.replace('"seed": 0', '"seed": ' + 5000 * "1"), "report.json: not a report", tmp_path)


def _refused(text: str, message: str, folder: Path) -> None:
    (folder / "report.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_report(folder)
    assert "\n" not in str(error.value)
