"""Trainings of a study are resumed like the stages of an experiment, with the same seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sne_deploy.distill.resume import ResumePoint
from sne_deploy.distill.training import EpochCallback, Schedule

if TYPE_CHECKING:
    from sne_deploy.distill.experiment import Experiment, ScheduleModel

EpochLog = Callable[[str, int, int, "dict[str, float]"], None]
"""Called as log(stage, epoch from 1, epochs, mean of every loss term)."""
TEACHER, TOGETHER, FIRST_STUDENT = 1, 3, 100
"""Which of an experiment's seeds a stage has, as in :mod:`sne_deploy.distill.run`."""


def stage_schedule(experiment: Experiment, described: ScheduleModel, salt: int) -> Schedule:
    """A schedule with the seed that the experiment's own stage of that number has."""
    seed = int(np.random.SeedSequence([experiment.seed, salt]).generate_state(1)[0])
    return Schedule(**described.model_dump(), seed=seed, threads=experiment.threads)


def stage_file(work: Path, name: str, digest: str) -> ResumePoint:
    """Where a stage keeps its state; ``digest`` is of all that it depends on."""
    return ResumePoint(work / f"{name}-{digest[:12]}.pt", f"{name} {digest}")


def heard(log: EpochLog, name: str, epochs: int) -> EpochCallback:
    """Tell a log of every epoch of a stage."""
    return lambda epoch, terms: log(name, epoch + 1, epochs, dict(terms))
