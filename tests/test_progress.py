"""What a training shows: bars with the last metrics on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from sne_deploy.progress import TrainingBars
from tests.command_line import captured

PROGRAM = """
from sne_deploy.progress import TrainingBars
with TrainingBars() as bars:
    bars.started("teacher", 2, [{"cross_entropy": 0.5}, {"cross_entropy": 0.25}])
    bars.started("student0", 4, [{"feature": 0.75}])
    bars("student0", 2, 4, {"feature": 0.125, "synops": 1e-5})
"""


def test_lines_where_there_is_no_terminal() -> None:
    with captured() as (stdout, stderr), TrainingBars() as bars:
        bars.started("teacher", 2, [{"loss": 0.5}, {"loss": 0.25}])
        bars.started("student0", 4, [])
        bars("student0", 1, 4, {"loss": 0.5})
        bars.started("student1", 4, [{"loss": 0.5}])
    assert stdout.getvalue() == ""
    assert stderr.getvalue().splitlines() == [
        "student0 1/4  loss 0.5",
        "student1 goes on after epoch 1 of 4",
    ]


def test_bars_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    with (tmp_path / "stdout").open("wb") as stdout:
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdout=stdout, stderr=theirs, env=environment
        )
        os.close(theirs)
        found = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            found += part
        assert child.wait() == 0
    os.close(ours)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found.decode()).replace("\r", "\n").splitlines()
    teacher = [line for line in lines if line.startswith("teacher")][-1]
    student = [line for line in lines if line.startswith("student0")][-1]
    assert "2 of 2 epochs" in teacher
    assert teacher.rstrip().endswith("cross_entropy 0.25")
    assert "2 of 4 epochs" in student
    assert student.rstrip().endswith("feature 0.125  synops 1e-05")
    assert (tmp_path / "stdout").read_bytes() == b""
