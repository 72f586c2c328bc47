"""The table of what is said of memory and taken."""

from __future__ import annotations

import json

import pytest

from benchmarks import memory_child
from scripts import write_memory


def test_the_page_shows_what_was_measured() -> None:
    assert write_memory.PAGE.read_text("utf-8") == write_memory.page()


@pytest.mark.parametrize("step", ["compile", "run"])
def test_what_was_committed_took_no_more_than_was_said(step: str) -> None:
    found = json.loads((write_memory.DOCS / "memory.json").read_text())["inputs"]
    assert list(found) == list(memory_child.INPUTS)
    assert all(row[step]["taken_mib"] <= row[step]["said_mib"] for row in found.values())


def test_an_input_is_measured_with_the_run_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_child, "INPUTS", {"small": lambda: memory_child._committed("digits", 2)})
    found = memory_child.measured("small")
    assert (found["weights"], found["samples"]) == (24264, 2)
    assert found["run"]["said_mib"] > 16  # with what counting on cores takes
    assert found["run"]["taken_mib"] >= 0
