"""What a training shows: bars with the last figures on a terminal, lines elsewhere; what is left of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.bars import TrainingBars, about
from sne_deploy.distill.plan import PlannedStage, remaining_s
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.training.epochs import Epoch, Seen
from sne_deploy.distill.training.sizes import Sizes
from tests.command_line import captured, on_a_terminal

PROGRAM = """
from sne_deploy.distill.bars import TrainingBars
from sne_deploy.distill.training.epochs import Epoch, Seen
from tests.distill.test_bars import PLAN
with TrainingBars() as bars:
    bars.planned(PLAN)
    bars.started("teacher", 2, [Epoch({"cross_entropy": loss}, 0.1, 30.0) for loss in (0.5, 0.25)])
    bars.started("student0", 4, [Epoch({"feature": 0.75}, 0.1, 30.0)])
    seen = Seen(0.5, 0.625, 1000, 20000)
    bars("student0", 2, 4, Epoch({"feature": 0.125, "synops": 1e-5}, 0.1, 30.0, seen))
"""


def stage(name: str, epochs: int, students: int = 1, macs: int = 1) -> PlannedStage:
    schedule = Schedule(epochs=epochs, batch_size=10**9)
    return PlannedStage(name, students, schedule, 10**9, Sizes(1, macs))


PLAN = (stage("teacher", 2, 0), stage("student0", 4), stage("student1", 4, macs=3))


def test_lines_where_there_is_no_terminal() -> None:
    with captured() as (stdout, stderr), TrainingBars() as bars:
        bars.planned(PLAN)
        bars.started("teacher", 2, [Epoch({"loss": 0.5}, 0.1, 1.0)] * 2)
        bars.started("student0", 4, [])
        for epoch in range(1, 5):
            bars("student0", epoch, 4, Epoch({"loss": 0.5}, 0.1, 10.0, Seen(0.5, 0.75, 12.0, 3456.0)))
        bars.started("student1", 4, [Epoch({"loss": 0.5}, 0.1, 1.0)])
    assert stdout.getvalue() == ""
    figures = "loss 0.5  accuracy 50.0 %  ensemble 75.0 %  12 spikes  3,456 SynOps"
    assert stderr.getvalue().splitlines() == [
        f"student0 1/4  {figures}  stage 2 of 3, about 2 min left",
        f"student0 4/4  {figures}  stage 2 of 3, about 2 min left",
        "student1 goes on after epoch 1 of 4",
    ]


def test_bars_on_a_terminal() -> None:
    found = on_a_terminal(PROGRAM, columns=130)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found).replace("\r", "\n").splitlines()
    training, teacher, student = (
        [line for line in lines if line.startswith(name)][-1] for name in ("training", "teacher", "student0")
    )
    assert "about 7 min left" in training  # 2 epochs of 30 s, and 4 of one that is 3 times as large
    assert training.rstrip().endswith("stage 2 of 3")
    assert "2 of 2 epochs" in teacher
    assert teacher.rstrip().endswith("loss 0.25")
    assert "2 of 4 epochs" in student
    assert student.rstrip().endswith(
        "loss 0.125  accuracy 50.0 %  ensemble 62.5 %  1,000 spikes  20,000 SynOps"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "about 1 s"),
        (42.4, "about 42 s"),
        (754, "about 13 min"),
        (3600, "about 1 h"),
        (12345, "about 3 h 30 min"),
    ],
)
def test_an_estimate_sounds_like_one(seconds: float, text: str) -> None:
    assert about(seconds) == text


@given(
    epochs=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    macs=st.lists(st.integers(1, 99), min_size=3, max_size=3),
    data=st.data(),
)
def test_what_is_left_is_exact_where_seconds_follow_work(
    epochs: list[int], macs: list[int], data: st.DataObject
) -> None:
    plan = tuple(stage(f"s{k}", *both) for k, both in enumerate(zip(epochs, (0, 1, 2), macs, strict=True)))
    done_epochs = data.draw(st.integers(0, sum(epochs)))
    done: dict[str, list[float]] = {}
    for one in [stage for stage in plan for _ in range(stage.epochs)][:done_epochs]:
        done.setdefault(one.name, []).append(2e-9 * one.work)
    found = remaining_s(plan, done)
    if not done_epochs:
        assert found is None
        return
    wanted = sum(2e-9 * one.work * (one.epochs - len(done.get(one.name, ()))) for one in plan)
    assert found == pytest.approx(wanted, abs=1e-6)


def test_students_are_compared_with_students() -> None:
    slow = {"teacher": [1.0, 1.0], "student0": [9.0, 10.0, 10.0]}
    assert remaining_s(PLAN, slow) == pytest.approx(10 + 4 * 10 * PLAN[2].work / PLAN[1].work)
