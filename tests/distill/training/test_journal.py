"""training.jsonl says each epoch once, whatever a killed run left behind."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.training.epochs import Epoch, Seen
from sne_deploy.distill.training.journal import COLUMNS, Journal, csv_line
from sne_deploy.errors import OutputError

Event = tuple[str, int, float]
FORMAT: dict[str, Any] = {".jsonl": (), ".csv": (csv_line, ",".join(COLUMNS))}
EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.floats(0, 9)), max_size=6)


def run(path: Path, events: Sequence[Event], done: int = 0, stop: int | None = None) -> None:
    """A run that finds the first ``done`` epochs done, and is killed after ``stop`` of them."""
    journal = Journal(path, *FORMAT[path.suffix])
    for index, (stage, _, value) in enumerate(events[:stop]):
        if index < done:
            journal.started(f"{stage}{index}", [Epoch({"feature": value}, 0.5, 2.0)])
        else:
            journal.started(f"{stage}{index}", [])
            journal.epoch(f"{stage}{index}", 1, Epoch({"feature": value}, 0.5, 2.0))
    if stop is None:
        journal.finish()


@pytest.fixture(scope="module", params=FORMAT)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / f"training{request.param}"


@given(events=EVENTS, data=st.data())
def test_what_is_left_of_a_killed_run_is_completed(
    events: list[Event], data: st.DataObject, path: Path
) -> None:
    path.unlink(missing_ok=True)
    run(path, events)
    whole = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    for _ in range(data.draw(st.integers(0, 3))):
        done = data.draw(st.integers(0, len(events)))
        run(path, events, done, data.draw(st.integers(done, len(events))))
        if path.exists():  # the kill came before the last bytes were on disk
            found = path.read_bytes()
            path.write_bytes(found[: data.draw(st.integers(0, len(found)))])
    run(path, events, data.draw(st.integers(0, len(events))))
    assert (path.read_bytes() if path.exists() else b"") == whole
    assert whole.count(b"\n") == len(events) + (path.suffix == ".csv")


@given(events=EVENTS, junk=st.binary(max_size=200))
def test_what_another_run_left_is_dropped(events: list[Event], junk: bytes, path: Path) -> None:
    path.unlink(missing_ok=True)
    run(path, events)
    whole = path.read_bytes() if path.exists() else b""
    path.write_bytes(whole + junk)
    run(path, events, len(events))
    assert path.read_bytes() == whole
    path.write_bytes(junk)
    run(path, events)
    assert path.read_bytes() == whole


def test_lines_that_are_right_are_there_all_the_time(path: Path) -> None:
    events = [("a", 1, 0.5), ("b", 1, 0.25)]
    run(path, events)
    whole = path.read_bytes()
    journal = Journal(path, *FORMAT[path.suffix])
    journal.started("a0", [Epoch({"feature": 0.5}, 0.5, 2.0)])
    assert path.read_bytes() == whole


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "training.jsonl").mkdir()
    with pytest.raises(
        OutputError, match=r"cannot write .*training\.jsonl: it is a folder, not a file; choose another --out"
    ):
        Journal(tmp_path / "training.jsonl").epoch("a", 1, Epoch({}, 0.1, 1.0))


def test_a_line_of_the_table(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "training.csv", csv_line, ",".join(COLUMNS))
    journal.started("teacher", [Epoch({"cross_entropy": 0.25}, 0.5, 1.5, Seen(0.75))])
    journal.started("student0", [])
    seen = Seen(0.5, 0.625, 12.5, 340.0)
    journal.epoch("student0", 1, Epoch({"feature": 0.25, "synops": 0.5}, 0.125, 2.0, seen))
    with (tmp_path / "training.csv").open(newline="") as stream:
        first, second = csv.DictReader(stream)
    assert {name: value for name, value in first.items() if value} == {
        "stage": "1", "name": "teacher", "epoch": "1", "loss": "0.25", "loss_cross_entropy": "0.25",
        "learning_rate": "0.5", "accuracy": "0.75", "seconds": "1.5",
    }  # fmt: skip
    assert {name: value for name, value in second.items() if value} == {
        "stage": "2", "name": "student0", "epoch": "1", "loss": "0.75", "loss_feature": "0.25",
        "loss_synops": "0.5", "learning_rate": "0.125", "accuracy": "0.5", "ensemble_accuracy": "0.625",
        "spikes": "12.5", "synops": "340.0", "seconds": "2.0",
    }  # fmt: skip
