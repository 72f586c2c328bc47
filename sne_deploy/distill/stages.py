"""The stages of an experiment: where each keeps its state, its seed, and who hears of its epochs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sne_deploy.distill.teacher.network import extract_features
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import EpochCallback, Schedule
from sne_deploy.distill.training.resume import ResumePoint, kept_tensor

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.experiment import Experiment, ScheduleModel
    from sne_deploy.distill.teacher.network import Teacher

EpochLog = Callable[[str, int, int, "dict[str, float]"], None]
"""Called as log(stage, epoch from 1, epochs, mean of every loss term)."""
StageLog = Callable[[str, int, Sequence[Mapping[str, float]]], None]
"""Called as started(stage, epochs, loss terms of those that are done already)."""
TEACHER, DECORRELATION, TOGETHER, FIRST_STUDENT, FIRST_QUANTISED = 1, 2, 3, 100, 200
"""Which of an experiment's seeds a stage has."""


def stage_schedule(experiment: Experiment, described: ScheduleModel, salt: int, key: str = "") -> Schedule:
    """A schedule with a seed of its own; ``key`` is where the experiment says it, for messages."""
    seed = int(np.random.SeedSequence([experiment.seed, salt]).generate_state(1)[0])
    return Schedule(**described.model_dump(), seed=seed, threads=experiment.threads, key=key)


def stage_file(work: Path, name: str, digest: str) -> ResumePoint:
    """Where a stage keeps its state; ``digest`` is of all that it depends on."""
    return ResumePoint(work / f"{name}-{digest[:12]}.pt", f"{name} {digest}")


def heard(log: EpochLog, name: str, epochs: int) -> EpochCallback:
    """Tell a log of every epoch of a stage."""
    return lambda epoch, terms: log(name, epoch + 1, epochs, dict(terms))


@dataclass(frozen=True, eq=False)
class Stages:
    """The stages of one run.

    Attributes
    ----------
    experiment : Experiment
    folder : Path
        The work folder.
    log : EpochLog
    started : StageLog
    own : str
        A digest of data and teacher of the user's own, which the experiment does not describe; or "".
    """

    experiment: Experiment
    folder: Path
    log: EpochLog = lambda *_: None
    started: StageLog = lambda *_: None
    own: str = ""

    def digest(self, *sections: str) -> str:
        """Of what a stage depends on: these sections, data, seed and device."""
        digest = self.experiment.fingerprint(*sections)
        return hashlib.sha256((digest + self.own).encode()).hexdigest() if self.own else digest

    def resume(self, name: str, epochs: int, *sections: str) -> ResumePoint:
        """Where a training of so many epochs keeps its state."""
        point = stage_file(self.folder, name, self.digest(*sections))
        return ResumePoint(point.path, point.fingerprint, partial(self.started, name, epochs))

    def heard(self, name: str, epochs: int) -> EpochCallback:
        """Tell the log of every epoch of a stage."""
        return heard(self.log, name, epochs)

    def schedule(self, described: ScheduleModel, salt: int, section: str) -> Schedule:
        """A schedule with a seed of its own for each stage."""
        return stage_schedule(self.experiment, described, salt, f"{section}.schedule")

    def features(self, name: str, teacher: Teacher, x: Tensor, *sections: str) -> Tensor:
        """The teacher's features of images, in the precision in which it was trained; computed once."""
        experiment = self.experiment
        point = stage_file(self.folder, f"{name}{len(x)}", self.digest(*sections))

        def compute() -> Tensor:
            with deterministic(experiment.seed, experiment.threads, x.device.type):
                return extract_features(teacher, x, precision=experiment.teacher.schedule.precision)

        return kept_tensor(point, compute).to(x.device)
