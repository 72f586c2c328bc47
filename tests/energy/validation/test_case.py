"""A case of one's own: what is read, what is refused and in what words."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sne_deploy.energy.validation.case import MAX_FILE_BYTES, packaged_cases, read_case
from sne_deploy.energy.validation.run import validate
from sne_deploy.errors import DataError
from tests.command_line import command

GOOD: dict[str, Any] = {
    "format": "sne-measurement",
    "version": 1,
    "name": "my_network",
    "title": "A network of mine",
    "chip": "loihi1",
    "board": "Kapoho Bay",
    "network": "64-128-10",
    "workload": "1,000 samples of 20 steps",
    "source": {"url": "https://example.org/measurement", "commit": "0123abc"},
    "how_counted": "sne-compile, report.json",
    "boundaries": {
        "core": {"sees": ["neurocore dynamic"], "text": "power of the cores less that of idle ones"}
    },
    "points": [
        {
            "name": "rate 10",
            "steps": 20,
            "updates": 2760,
            "synops": 50000,
            "readings": [
                {"quantity": "neurocore dynamic energy", "value": 1.5, "unit": "uJ", "boundary": "core"}
            ],
        }
    ],
    "missing": ["spikes across cores"],
}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "case.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The good case with one field replaced, or removed where ``to`` is None."""
    content = copy.deepcopy(GOOD)
    where: Any = content
    for step in path[:-1]:
        where = where[step]
    if to is None:
        del where[path[-1]]
    else:
        where[path[-1]] = to
    return content


def test_a_good_case_is_predicted(tmp_path: Path) -> None:
    found = validate([written(tmp_path, GOOD)])
    (row,) = found.rows
    assert row.case == "my_network"
    assert row.predicted == pytest.approx((2760 * 81.0 + 50000 * 23.6) * 1e-6)
    assert row.others is not None  # the packaged cases' residuals
    assert list(found.constants) == ["loihi1"]


READING = ("points", 0, "readings", 0)
BAD: list[tuple[Any, str]] = [
    (changed("name", to=None), "name is missing; add it"),
    (changed("colour", to="red"), "colour is not a known field; remove it"),
    (changed("version", to=2), "version = 2"),
    (changed("version", to="1"), "version = '1'"),
    (changed("name", to="My Network"), "name = 'My Network'"),
    (changed("title", to="\x1b[2Jgone"), "title: it has characters that do not print; write one line"),
    (changed("chip", to="loihi9"), "chip 'loihi9' is not known; write one of loihi1, loihi2"),
    (changed("source", "url", to="file:///etc/passwd"), "source.url = 'file:///etc/passwd'"),
    (changed("source", "commit", to="HEAD"), "source.commit = 'HEAD'"),
    (changed(*READING, "unit", to="kWh"), "unit 'kWh' of neurocore dynamic energy is not one of J, mJ, uJ"),
    (changed(*READING, "unit", to="mW"), "unit 'mW' of neurocore dynamic energy is not one of"),
    (changed(*READING, "value", to=0), "value = 0: input should be greater than 0"),
    (changed(*READING, "value", to="1.5"), "value = '1.5': input should be a valid number"),
    (changed(*READING, "value", to=True), "value = True"),
    (changed(*READING, "quantity", to="power"), "quantity = 'power'"),
    (changed(*READING, "boundary", to="wall"), "boundary 'wall' of neurocore dynamic energy is not among"),
    (changed("points", to=[]), "points = []"),
    (changed("points", to=[GOOD["points"][0]] * 2), "two points have one name"),
    (changed("points", 0, "steps", to=-20), "points.0.steps = -20"),
    (changed("points", 0, "synops", to=[5, 1]), "has its least after its most; write [least, most]"),
    (changed("points", 0, "synops", to=[1, 2, 3]), "points.0.synops"),
    (changed("points", 0, "updates", to=10**30), "points.0.updates"),
    (changed("points", 0, "time_per_step", to={"value": 1, "unit": "W"}), "time_per_step needs a value"),
    ("{", "is not JSON"),
    ('{"name": 1, "name": 2}', "the key 'name' stands twice"),
    ('{"name": NaN}', "NaN is no number"),
    ("[" * 100_000, "case"),
    ('{"name": ' + "9" * 5000 + "}", "case"),
    ("[]", "the file"),
    ("null", "the file"),
    ("\ufeff{}", "is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_bad_case_is_refused_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    found = command("validate", written(tmp_path, content), name="sne")
    assert found.status == 2
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.isprintable()
    assert message in line
    assert len(line) < 700


def test_files_that_are_no_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    for path, message in (
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is a pipe"),
        (large, "more than the limit"),
    ):
        with pytest.raises(DataError, match=message):
            read_case(path)


def test_a_layer_sum_that_differs_is_refused(tmp_path: Path) -> None:
    layer = {"name": "a", "neurons": 10, "spikes": 5, "updates": 2760, "synops": 49999}
    content = changed("points", 0, "layers", to=[layer])
    with pytest.raises(DataError, match=r"synops is 50000, its layers' sum is 49999; correct one"):
        read_case(written(tmp_path, content))


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    with pytest.raises(DataError, match="two cases have the name 'my_network'"):
        validate([path, path])


def test_a_case_may_bound_what_was_not_published(tmp_path: Path) -> None:
    (row,) = validate([written(tmp_path, changed("points", 0, "synops", to=[40000, 60000]))]).rows
    assert row.predicted == pytest.approx((2760 * 81.0 + 50000 * 23.6) * 1e-6)
    assert row.low == pytest.approx(0.8 * (2760 * 81.0 + 40000 * 23.6) * 1e-6)
    found = validate([written(tmp_path, changed("points", 0, "synops", to=[0, 1e6]))])
    assert found.rows == ()
    assert "wider than a factor of 2" in found.left[0].reason
    found = validate([written(tmp_path, changed("points", 0, "synops", to=None))])
    assert found.left[0].reason == "missing: synops"


def test_the_packaged_cases_are_those_of_their_files() -> None:
    folder = Path(validate.__code__.co_filename).parent
    assert [case.name for case in packaged_cases()] == sorted(path.stem for path in folder.glob("*.json"))


def test_the_command_prints_failures_and_succeeds() -> None:
    table = command("validate", name="sne")
    assert table.status == 0
    assert "SHA-256" in table.stdout
    assert "Outside, and the likely cause:" in table.stdout
    assert max(len(line) for line in table.stdout.splitlines()) <= 110
    listed = command("validate", "--json", name="sne")
    rows = json.loads(listed.stdout)
    fields = [
        "case",
        "quantity",
        "unit",
        "predicted",
        "measured",
        "ratio",
        "low",
        "high",
        "inside",
        "dominating",
    ]
    assert all(list(row) == fields for row in rows)
    assert any(not row["inside"] for row in rows)
    for row in rows:
        assert row["ratio"] == pytest.approx(row["predicted"] / row["measured"])
        assert row["inside"] == (row["low"] <= row["measured"] <= row["high"])
