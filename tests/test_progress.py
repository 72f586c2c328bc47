"""What a training shows: bars with the last metrics on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import re

from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.progress import TrainingBars
from tests.command_line import captured, on_a_terminal

PROGRAM = """
from sne_deploy.distill.training.epochs import Epoch, Seen
from sne_deploy.progress import TrainingBars
with TrainingBars() as bars:
    bars.started("teacher", 2, [Epoch({"cross_entropy": 0.5}), Epoch({"cross_entropy": 0.25})])
    bars.started("student0", 4, [Epoch({"feature": 0.75})])
    bars("student0", 2, 4, Epoch({"feature": 0.125, "synops": 1e-5}))
"""


def test_lines_where_there_is_no_terminal() -> None:
    with captured() as (stdout, stderr), TrainingBars() as bars:
        bars.started("teacher", 2, [Epoch({"loss": 0.5}), Epoch({"loss": 0.25})])
        bars.started("student0", 4, [])
        bars("student0", 1, 4, Epoch({"loss": 0.5}))
        bars.started("student1", 4, [Epoch({"loss": 0.5})])
    assert stdout.getvalue() == ""
    assert stderr.getvalue().splitlines() == [
        "student0 1/4  loss 0.5",
        "student1 goes on after epoch 1 of 4",
    ]


def test_bars_on_a_terminal() -> None:
    found = on_a_terminal(PROGRAM, columns=120)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found).replace("\r", "\n").splitlines()
    teacher = [line for line in lines if line.startswith("teacher")][-1]
    student = [line for line in lines if line.startswith("student0")][-1]
    assert "2 of 2 epochs" in teacher
    assert teacher.rstrip().endswith("cross_entropy 0.25")
    assert "2 of 4 epochs" in student
    assert student.rstrip().endswith("feature 0.125  synops 1e-05")
