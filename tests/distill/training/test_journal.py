"""training.jsonl says each epoch once, whatever a killed run left behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.training.journal import Journal
from sne_deploy.errors import OutputError

Event = tuple[str, int, float]
EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.floats(0, 9)), max_size=6)


def run(path: Path, events: Sequence[Event], done: int = 0, stop: int | None = None) -> None:
    """A run that finds the first ``done`` epochs done, and is killed after ``stop`` of them."""
    journal = Journal(path)
    for index, (stage, _, value) in enumerate(events[:stop]):
        if index < done:
            journal.started(f"{stage}{index}", [{"loss": value}])
        else:
            journal.started(f"{stage}{index}", [])
            journal.epoch(f"{stage}{index}", 1, {"loss": value})
    if stop is None:
        journal.finish()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "training.jsonl"


@given(events=EVENTS, data=st.data())
def test_what_is_left_of_a_killed_run_is_completed(
    events: list[Event], data: st.DataObject, path: Path
) -> None:
    path.unlink(missing_ok=True)
    run(path, events)
    whole = path.read_bytes() if events else b""
    path.unlink(missing_ok=True)
    for _ in range(data.draw(st.integers(0, 3))):
        done = data.draw(st.integers(0, len(events)))
        run(path, events, done, data.draw(st.integers(done, len(events))))
        if path.exists():  # the kill came before the last bytes were on disk
            found = path.read_bytes()
            path.write_bytes(found[: data.draw(st.integers(0, len(found)))])
    run(path, events, data.draw(st.integers(0, len(events))))
    assert (path.read_bytes() if path.exists() else b"") == whole
    assert whole.count(b"\n") == len(events)


@given(events=EVENTS, junk=st.binary(max_size=200))
def test_what_another_run_left_is_dropped(events: list[Event], junk: bytes, path: Path) -> None:
    path.unlink(missing_ok=True)
    run(path, events)
    whole = path.read_bytes() if events else b""
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
    journal = Journal(path)
    journal.started("a0", [{"loss": 0.5}])
    assert path.read_bytes() == whole


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "training.jsonl").mkdir()
    with pytest.raises(
        OutputError, match=r"cannot write .*training\.jsonl: it is a folder, not a file; choose another --out"
    ):
        Journal(tmp_path / "training.jsonl").epoch("a", 1, {})
