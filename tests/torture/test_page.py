"""docs/reliability.md is what the script writes from the figures; failures stand there as failures."""

from __future__ import annotations

import json

from scripts import write_reliability
from tests.torture.part import parts


def test_the_page_is_what_the_script_writes():
    assert write_reliability.PAGE.read_text("utf-8") == write_reliability.page()


def test_every_file_of_figures_is_of_a_part():
    assert {path.stem for path in write_reliability.RESULTS.glob("*.json")} <= set(parts())


def test_failures_are_shown_as_failures(tmp_path, monkeypatch):
    failure = {
        "case": "a",
        "index": 3,
        "found": "was lost",
        "again": "python -m tests.torture matrix --only 3",
    }
    row = {"case": "a", "tried": 2, "held": 1, "seconds": 1.5, "ended": {"result": 1}}
    kept = {
        "command": "python -m tests.torture matrix --count 2",
        "python": "3.11",
        "cores": 2,
        "skipped": "",
    }
    kept |= {"seconds": 3.0, "failed": 1, "failures": [failure], "rows": [row]}
    (tmp_path / "matrix.json").write_text(json.dumps(kept))
    monkeypatch.setattr(write_reliability, "RESULTS", tmp_path)
    page = write_reliability.page()
    assert "| [matrix](#matrix) | 2 | 1 | **1** | 3 s |" in page
    assert "| a | 2 | 1 | 1.5 | 1 result |" in page
    assert "- a: was lost; again: `python -m tests.torture matrix --only 3`" in page
