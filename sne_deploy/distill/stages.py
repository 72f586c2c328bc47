"""The stages of an experiment: where each keeps its state, its seed, and who hears of its epochs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.distill.data.augment import transform_of
from sne_deploy.distill.students.answers import FreshAnswers, StoredAnswers, Version, answers_to
from sne_deploy.distill.students.finished import Finished
from sne_deploy.distill.teacher.network import extract_features
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.epochs import Epoch, Watch
from sne_deploy.distill.training.loop import Training
from sne_deploy.distill.training.resume import ResumePoint, kept_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.schema.schedule import Schedule
    from sne_deploy.distill.students.answers import Answers
    from sne_deploy.distill.students.watch import Held
    from sne_deploy.distill.teacher.network import Teacher

EpochLog = Callable[[str, int, int, Epoch], None]
"""Called as log(stage, epoch from 1, epochs, what is known of it)."""
StageLog = Callable[[str, int, Sequence[Epoch]], None]
"""Called as started(stage, epochs, those that are done already)."""
Kept = Callable[[int, "nn.Module", npt.NDArray[Any] | None], None]
"""Called as kept(student, network, features that it learned, or None)."""
TEACHER, DECORRELATION, TOGETHER = 1, 2, 3
FIRST_STUDENT, FIRST_QUANTISED, FIRST_VERSION = 100, 200, 10_000
FIRST_OF_PHASE = {"warm": 300, "longer": 400}
"""Which of an experiment's seeds a stage has, and the versions of samples."""


@dataclass(frozen=True)
class Stage:
    """A training among an experiment's.

    Attributes
    ----------
    name : str
        In the log; of the state's file.
    seed : int
        Which of the experiment's seeds it has.
    schedule : Schedule
    section : str
        Whose schedule that is, for messages.
    depends : tuple of str
        The sections of the experiment whose change makes it another training.
    student : int or None
        Whose keys of ``students`` it depends on; None: on those of all.
    without : tuple of str
        Dotted keys in the sections whose change does not make it another training.
    """

    name: str
    seed: int
    schedule: Schedule
    section: str
    depends: tuple[str, ...]
    student: int | None = None
    without: tuple[str, ...] = ()


def decorrelation_schedule(experiment: Experiment) -> Schedule:
    """Of the teacher's fine-tuning: its own at a fifth of the rate."""
    schedule = experiment.teacher.schedule
    changes = {"epochs": experiment.partition.decorrelate_epochs, "learning_rate": schedule.learning_rate / 5}
    return schedule.model_copy(update=changes)


def quantised_schedule(experiment: Experiment, student: int = 0) -> Schedule:
    """Of the fine-tuning with quantised weights: the student's own at a tenth of the rate."""
    schedule = experiment.students.of(student).schedule
    changes = {"epochs": experiment.quantisation.epochs, "learning_rate": schedule.learning_rate / 10}
    return schedule.model_copy(update=changes)


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
        A digest of what the stages depend on and the experiment does not describe, such as data and a teacher
        of the user's own; or "".
    held : Held or None
        The samples that every epoch is judged on, for the log.
    given : Finished
        Students that are not trained here.
    kept : callable
        Hears of every student that is finished.
    """

    experiment: Experiment
    folder: Path
    log: EpochLog = lambda *_: None
    started: StageLog = lambda *_: None
    own: str = ""
    held: Held | None = None
    given: Finished = field(default_factory=Finished)
    kept: Kept = lambda *_: None

    def training(self, stage: Stage, watch: Callable[[Held], Watch] | None = None) -> Training:
        """How a stage's module is trained: with a seed of its own, resumed where it was, heard by the log."""
        described, name, epochs = stage.schedule, stage.name, stage.schedule.epochs
        return Training(
            described,
            self._seed(stage.seed),
            self.experiment.threads,
            f"{stage.section}.schedule",
            lambda epoch, done: self.log(name, epoch + 1, epochs, done),
            self._point(
                name, stage.depends, partial(self.started, name, epochs), stage.student, stage.without
            ),
            watch=None if watch is None or self.held is None else watch(self.held),
        )

    def features(self, name: str, teacher: Teacher, x: Tensor, *depends: str) -> Tensor:
        """The teacher's features of images, in the precision in which it was trained; computed once."""
        experiment = self.experiment

        def compute() -> Tensor:
            with deterministic(experiment.seed, experiment.threads, x.device.type):
                return extract_features(teacher, x, precision=experiment.teacher.schedule.precision)

        return kept_tensor(self._point(f"{name}{len(x)}", depends), compute).to(x.device)

    def answers(
        self, teacher: Teacher, data: Splits, parts: Sequence[npt.NDArray[Any]], *depends: str
    ) -> Answers | None:
        """The teacher's answers to augmented samples, as ``students.answers`` says; each is computed once.

        ``data`` and teacher lie on the experiment's device; ``parts`` are the students' features.
        """
        described, precision = self.experiment.students.answers, self.experiment.teacher.schedule.precision
        augmentation = transform_of(self.experiment.data)
        if described is None or augmentation is None:
            return None
        device, wanted = data.x.device, self.experiment.learns_features
        columns = tuple(torch.from_numpy(part if wanted else part[:0]).to(device) for part in parts)
        if described.copies is None:
            return FreshAnswers(teacher, augmentation, columns, precision)

        @cache
        def version(number: int) -> Version:
            with deterministic(self._seed(FIRST_VERSION + number)):
                drawn = tuple(one.to(device) for one in augmentation.draw(len(data.x)))

            def compute() -> Tensor:
                with deterministic(self.experiment.seed, self.experiment.threads, device.type):
                    return answers_to(teacher, augmentation, data.x, drawn, precision, wanted)

            name = f"{'answers' if wanted else 'logits'}{number}of{len(data.x)}"
            return Version(drawn, kept_tensor(self._point(name, depends), compute).to(device))

        return StoredAnswers(
            augmentation, described.copies, version, columns, teacher.classifier.out_features
        )

    def _seed(self, stage: int) -> int:
        return int(np.random.SeedSequence([self.experiment.seed, stage]).generate_state(1)[0])

    def _point(
        self,
        name: str,
        depends: Sequence[str],
        on_start: Callable[[Sequence[Epoch]], None] | None = None,
        student: int | None = None,
        without: tuple[str, ...] = (),
    ) -> ResumePoint:
        described = self.experiment if student is None else self.experiment.of(student)
        digest, slug = described.fingerprint(*depends, without=without), name.replace(" ", "-")
        own = self.own + (self.given.digest(student) if "students" in depends else "")
        if own:
            digest = hashlib.sha256((digest + own).encode()).hexdigest()
        return ResumePoint(self.folder / f"{slug}-{digest[:12]}.pt", f"{slug} {digest}", on_start)
