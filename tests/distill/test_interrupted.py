"""An experiment that is interrupted anywhere, in a step or while it writes, ends with the same bits."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.training.loop import _Run
from sne_deploy.distill.training.resume import ResumePoint
from tests.distill.test_run import DOCUMENT, experiment, tensors
from tests.effort import examples

SCHEDULE = {"epochs": 2, "batch_size": 64}
DESCRIBED = experiment(
    teacher={**DOCUMENT["teacher"], "dropout": 0.2, "schedule": SCHEDULE},
    partition={},
    students={**DOCUMENT["students"], "copies": 0, "answers": {"copies": 2}, "schedule": SCHEDULE},
    joint={**DOCUMENT["joint"], "schedule": {"epochs": 1, "batch_size": 64}},
    quantisation={"epochs": 1},
)


class InterruptedHere(BaseException):
    """As Ctrl-C, which nothing catches."""


class Fuse:
    """Burns down by one at each place where a run may be interrupted."""

    def __init__(self) -> None:
        self.left, self.passed = -1, 0

    def pass_by(self) -> None:
        self.passed += 1
        if self.left == 0:
            raise InterruptedHere
        self.left -= 1


@pytest.fixture(scope="module")
def fuse() -> Any:
    """In every step, and before and after every writing of a state."""
    burning, step, write = Fuse(), _Run.step, ResumePoint.write

    def stepped(self: Any, batch: Any) -> Any:
        made = step(self, batch)
        burning.pass_by()
        return made

    def written(self: Any, state: Any) -> None:
        burning.pass_by()
        write(self, state)
        burning.pass_by()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Run, "step", stepped)
        patch.setattr(ResumePoint, "write", written)
        yield burning


@pytest.fixture(scope="module")
def whole(fuse: Fuse, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[np.ndarray]]:
    """How many places an undisturbed run passes, and what it gives."""
    done = run_experiment(DESCRIBED, tmp_path_factory.mktemp("whole"))
    return fuse.passed, tensors(done.ensemble)


@pytest.mark.parametrize("seed", range(examples(2)))
def test_interrupted_anywhere_a_run_ends_with_the_same_bits(
    fuse: Fuse, whole: tuple[int, list[np.ndarray]], seed: int, tmp_path: Path
) -> None:
    (places, wanted), dice, interrupted = whole, random.Random(seed), 0
    while True:
        fuse.left = dice.randrange(places // 3)  # from where it goes on: some in each third of the run
        try:
            found = run_experiment(DESCRIBED, tmp_path)
            break
        except InterruptedHere:
            interrupted += 1
    assert interrupted > 2
    for one, other in zip(wanted, tensors(found.ensemble), strict=True):
        np.testing.assert_array_equal(one, other)
