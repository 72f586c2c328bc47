"""Reports of schema 1 are read: what they did not have is null, what they said is as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sne_deploy.errors import InputError
from sne_deploy.report.file import Report, load_report, report_text
from sne_deploy.report.notes import report_notes
from tests.older_reports import LATER, of_version


@pytest.fixture(scope="module")
def today(make_student: Any, make_result: Any, make_report: Any) -> Report:
    students = [
        make_student(name, on, np.random.default_rng(3)) for name, on in (("a", [1, 1]), ("b", [0, 1]))
    ]
    return make_report(make_result(students, labels=[1, 0]), warnings=())


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
