"""Runs of experiments, each kept as one JSON file: what is finished is never done again.

A run is an experiment file, changes to it by dotted key, and a seed. Its record is written when it is
finished, atomically, with a digest of all that it depends on. Trainings share a work folder, in which they
keep their state after every epoch, so that a killed reproduction goes on and equal stages are trained once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from experiments.reproduction.rows import Figures, Record, read_record
from experiments.study.summary import test_data
from sne_deploy.distill.data.splits import Splits, load_splits
from sne_deploy.distill.experiment import Experiment, load_experiment
from sne_deploy.distill.stages import EpochLog
from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.errors import InputError
from sne_deploy.files import ensure_folder, write_whole
from sne_deploy.model.ensemble import Ensemble

Array = npt.NDArray[Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What is to be done: ``changes`` of the experiment file by dotted key, beyond the whole laboratory's."""

    study: str
    variant: str
    seed: int
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.study}-{self.variant}-seed{self.seed}"


class Stopwatch:
    """Seconds spent on a run, kept on disk so that they survive a kill."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = float(path.read_text()) if path.exists() else 0.0
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """In all attempts."""
        return self._before + time.perf_counter() - self._started

    def keep(self) -> None:
        """Write what was spent so far."""
        write_whole(self._path, repr(self.seconds()).encode())


@dataclass(frozen=True)
class Task:
    """What a measurement is given: a run, its own folder, and the folder of all trainings' state."""

    run: Run
    experiment: Experiment
    folder: Path
    work: Path
    log: EpochLog

    @property
    def bits(self) -> int:
        """Of a weight."""
        return self.experiment.quantisation.weight_bits

    def splits(self) -> Splits:
        """Training and validation data."""
        return load_splits(self.experiment.data, self.experiment.seed)

    def test(self, ensemble: Ensemble) -> tuple[Array, Array]:
        """Test data, as the ensemble takes it."""
        data = test_data(self.experiment, ensemble)
        if data.y is None:
            raise InputError(f"data {data.name}: has no labels; give some that has")
        return data.x, data.y


@dataclass(frozen=True)
class Measurement:
    """How a run becomes figures; equal names, which hold the options, give equal figures."""

    name: str
    take: Callable[[Task], Figures]


class NotFinishedError(InputError):
    """A run that is not finished, where only finished ones were asked for."""


@dataclass(frozen=True)
class Lab:
    """Where runs of an experiment file, with common changes by dotted key, are made and kept.

    ``finished``: what is not finished is not done, but raises :class:`NotFinishedError`.
    """

    base: Path
    common: Mapping[str, Any]
    out: Path
    say: Say = lambda _: None
    finished: bool = False

    def experiment(self, run: Run) -> Experiment:
        """The experiment of a run; later changes win."""
        changes = {**self.common, **run.changes, "seed": run.seed}
        return load_experiment(self.base, changes)

    def record(self, run: Run, measurement: Measurement) -> Record:
        """Take a run's figures from its file, or do it.

        Raises
        ------
        InputError
            The file is damaged; it is named.
        """
        experiment = self.experiment(run)
        digest = _digest(experiment, measurement.name)
        path = ensure_folder(self.out / "runs") / f"{run.name}.json"
        found = read_record(path) if path.exists() else None
        if found is not None and found.digest == digest:
            self.say(f"{run.name}: done before")
            return found
        if self.finished:
            raise NotFinishedError(f"{run.name}: is not finished; leave out --finished to do it")
        return self._do(run, experiment, measurement, digest, path)

    def _do(
        self, run: Run, experiment: Experiment, measurement: Measurement, digest: str, path: Path
    ) -> Record:
        watch = Stopwatch(path.with_name(f"{run.name}-{digest[:12]}.seconds"))

        def log(stage: str, epoch: int, epochs: int, done: Epoch) -> None:
            watch.keep()
            losses = ", ".join(f"{name} {value:.4g}" for name, value in done.terms.items())
            self.say(f"{run.name}: {stage}, epoch {epoch} of {epochs}: {losses}")

        folder = ensure_folder(self.out / "models" / run.name)
        self.say(f"{run.name}: {measurement.name}")
        figures = measurement.take(Task(run, experiment, folder, ensure_folder(self.out / "work"), log))
        wall_s = round(watch.seconds(), 1)
        record = Record(**vars(run), digest=digest, wall_s=wall_s, figures=figures)
        write_whole(path, (record.model_dump_json(indent=1) + "\n").encode())
        return record


def _digest(experiment: Experiment, measurement: str) -> str:
    """Of all that figures depend on; where the data lies is no part of it."""
    values = experiment.model_dump(mode="json")
    values["data"].pop("folder")
    text = json.dumps([values, measurement], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
