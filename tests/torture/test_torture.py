"""A short version of most parts of the campaign, and the campaign itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.torture.campaign import campaign
from tests.torture.part import Part, Trial, parts

OTHERWISE = {
    "cluster": "tests/runtime/test_execution.py and test_cluster.py",
    "guided": "the corpus, in test_corpus.py",
    "kills": "tests/test_stopping.py, tests/sandbox/test_pool.py and tests/distill/test_train_command.py",
    "resuming": "tests/runtime/test_kept.py",
    "scale": "tests/runtime/test_sizes.py and tests/ir/test_extremes.py",
    "soak": "test_slope.py alone: minutes say little",
}
"""Parts whose short version is left to ``make torture``, and what is tested here of the same."""


@pytest.mark.parametrize("name", sorted(set(parts()) - set(OTHERWISE)))
def test_short(name, tmp_path):
    why = parts()[name].missing()
    if why:
        pytest.skip(why)
    command = [sys.executable, "-m", "tests.torture", name, "--out", str(tmp_path)]
    # Coverage of what is killed, or runs where nothing can be written, would only be in the way.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    found = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert found.returncode == 0, found.stdout + found.stderr
    results = json.loads((tmp_path / f"{name}.json").read_text())
    assert sum(row["tried"] for row in results["rows"]) > 0


def test_failures_are_counted_and_told_with_the_command_that_repeats_them():
    def run(indices, seed):
        for index in indices:
            found = "too late" if index == seed else ""
            figures = {"seconds": index, "way": "fast"}
            yield Trial(f"case {index % 2}", index, found, figures, ended="in time" if index < 2 else "")

    said = []
    made = Part(name="made", promise="", how="", run=run, short=2, full=4)
    results = campaign(made, range(4), 3, said.append)
    assert results["rows"] == [
        {"case": "case 0", "tried": 2, "held": 2, "seconds": 2, "way": "fast", "ended": {"in time": 1}},
        {"case": "case 1", "tried": 2, "held": 1, "seconds": 3, "way": "fast", "ended": {"in time": 1}},
    ]
    again = "python -m tests.torture made --seed 3 --only 3"
    assert results["failures"] == [{"case": "case 1", "index": 3, "found": "too late", "again": again}]
    assert results["failed"] == 1
    assert again in said[0]


def test_what_was_tried_before_a_stop_counts():
    def run(indices, seed):
        yield Trial("case", 0)
        raise KeyboardInterrupt

    results = campaign(Part("made", "", "", run, short=1, full=4), range(4), 0, print)
    assert (results["count"], results["command"]) == (1, "python -m tests.torture made --count 1 --seed 0")


def test_a_campaign_goes_on_after_the_trials_that_were_kept():
    def run(indices, seed):
        for index in indices:
            yield Trial(f"case {index % 2}", index, "wrong" if index in {1, 5} else "", ended="in time")

    made = Part("made", "", "", run, short=1, full=6)
    whole = campaign(made, range(6), 0, lambda _: None)
    for done in range(6):
        before = campaign(made, range(done), 0, lambda _: None)
        after = campaign(made, range(done, 6), 0, lambda _: None, json.loads(json.dumps(before)))
        assert after | {"seconds": 0} == whole | {"seconds": 0}


def test_a_part_that_this_machine_cannot_do_is_left_out_with_its_reason():
    made = Part("made", "", "", lambda *_: 1 / 0, short=1, full=1, missing=lambda: "needs root")
    results = campaign(made, range(4), 0, print)
    assert (results["skipped"], results["rows"]) == ("needs root", [])


def test_parts_are_called_as_their_files():
    assert set(OTHERWISE) < set(parts())
    for name, part in parts().items():
        assert sys.modules[f"tests.torture.parts.{name}"].PART is part
        assert 0 < part.short < part.full
        assert part.promise.endswith(".")
        assert part.how.endswith(".")
