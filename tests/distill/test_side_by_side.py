"""Students in processes of their own: the bits of students that are trained one after the other."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.side_by_side import train_side_by_side
from sne_deploy.errors import RunError
from tests.distill.test_run import DOCUMENT, experiment, tensors


def test_students_side_by_side_are_those_one_after_the_other(tmp_path: Path) -> None:
    students = {**DOCUMENT["students"], "copies": 0, "answers": {"copies": 2}}
    plain: dict[str, Any] = {
        "joint": None,
        "partition": {},
        "quantisation": {"epochs": 1},
        "students": students,
    }
    in_turn = run_experiment(experiment(**plain), tmp_path / "in turn")
    heard: list[str] = []
    done: dict[str, int] = {}
    beside = run_experiment(
        experiment(**plain, side_by_side=2),
        tmp_path / "beside",
        lambda stage, *_: heard.append(stage),
        started=lambda stage, _, epochs: done.update({stage: len(epochs)}),
    )
    assert set(heard) == {"teacher"}
    assert done == {"teacher": 0, "student0": 2, "quantised0": 1, "student1": 2, "quantised1": 1}
    for one, other in zip(tensors(in_turn.ensemble), tensors(beside.ensemble), strict=True):
        np.testing.assert_array_equal(one, other)


def ended(_: int) -> None:
    os._exit(9)


def test_a_process_that_is_killed_is_told_of(tmp_path: Path) -> None:
    described: Any = SimpleNamespace(experiment=experiment(side_by_side=2), given=(0,), folder=tmp_path)
    lesson: Any = SimpleNamespace(answers=None)
    with pytest.raises(RunError, match="side_by_side 2: a student's process ended early"):
        train_side_by_side(described, lesson, ended)
