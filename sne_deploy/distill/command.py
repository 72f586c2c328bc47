"""``sne.train(...)`` and ``sne train``: run an experiment, write its files, measure what is deployed."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from sne_deploy.brief import briefly
from sne_deploy.data.seen import KEY, seen_file
from sne_deploy.distill.data.given import Given, as_arrays
from sne_deploy.distill.data.splits import load_file, load_splits, load_test
from sne_deploy.distill.experiment import Experiment, as_experiment
from sne_deploy.distill.plan import Plan
from sne_deploy.distill.policy.fitting import Brought
from sne_deploy.distill.run import Distilled, run_experiment
from sne_deploy.distill.schema.members import FILES
from sne_deploy.distill.stages import EpochLog, StageLog
from sne_deploy.distill.students.finished import save_finished
from sne_deploy.distill.teacher.given import teacher_of_module
from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
from sne_deploy.distill.training.determinism import open_device
from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.distill.training.events import EventFiles, tensorboard_installed
from sne_deploy.distill.training.journal import COLUMNS, Journal, csv_line
from sne_deploy.distill.training.origin import NAME, UNKNOWN, TrainedFile, machine_name
from sne_deploy.errors import InputError
from sne_deploy.files import atomic_path, ensure_folder, held_folder, write_whole
from sne_deploy.teacher.onnx_model import read_onnx

if TYPE_CHECKING:
    from sne_deploy.data import DataSet
    from sne_deploy.distill.teacher.network import Teacher
    from sne_deploy.model.ensemble import Ensemble
    from sne_deploy.result import Result

AnyPath = str | os.PathLike[str]
OF_OUR_TEACHER = {"teacher.weights": "float32", "teacher.normalise": False}
"""What a description says of the teacher that it trains, as it is of one that is given instead."""
PACKAGES = ("norse", "numpy", "sne-deploy", "torch")


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """What a training run gave.

    Attributes
    ----------
    model, teacher : Path
        ``model.pt`` and ``teacher.onnx``.
    ensemble : Ensemble
        What is in ``model.pt``.
    result : Result
        Of the test split on target ``loihi``.
    brought : tuple of Brought
        What each student does on validation samples, alone and after those before it.
    """

    model: Path
    teacher: Path
    ensemble: Ensemble
    result: Result
    brought: tuple[Brought, ...]


def train(
    experiment: Experiment | Mapping[str, Any] | AnyPath,
    out: AnyPath,
    *,
    teacher: nn.Module | AnyPath | None = None,
    data: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    device: str | None = None,
    seed: int | None = None,
    threads: int | None = None,
    work: AnyPath | None = None,
    log: Callable[[str, int, int, dict[str, float]], None] | None = None,
) -> Trained:
    """Distil an ensemble of spiking students from a teacher; a killed run goes on where it was.

    Parameters
    ----------
    experiment : Experiment, dict or path
        The description: what a TOML file holds, or the file.
    out : path
        A folder for ``model.pt``, ``teacher.onnx``, ``training.csv``, ``training.jsonl``, ``trained.json``
        and the report; ``students/`` has each student as soon as it is finished.
    teacher : nn.Module or path, optional
        Instead of the description's: a trained module whose last one is ``nn.Linear``, or a
        :class:`sne_deploy.distill.teacher.Teacher`; or an ONNX file. A module is copied, never changed.
    data : (x, y), optional
        Instead of the description's: images of shape (N, C, H, W) or (N, H, W), or vectors (N, F), each
        value in [0, 1]; labels of shape (N,) from 0. ``data.validation`` of them are kept for choices.
    test : (x, y), optional
        What the result is measured on; without it, on the validation samples, and the report says so.
    device, seed, threads : optional
        Instead of the description's.
    work : path, optional
        Where the stages keep their state; ``out/work`` if left out.
    log : callable, optional
        Called as log(stage, epoch from 1, epochs, mean of every loss term).

    Returns
    -------
    Trained
        The ensemble, the files, and the figures on the test split as deployed on target ``loihi``.

    Raises
    ------
    InputError, DataError, UnsupportedError, OutputError
        Something given does not fit, in one line that names it.
    RunError
        A training diverged.
    """
    given = Given(
        data=None if data is None else as_arrays("data", data),
        test=None if test is None else as_arrays("test", test),
        teacher=teacher if isinstance(teacher, nn.Module) else None,
    )
    if given.test is not None and given.data is None:
        raise InputError("test: is for data=(x, y) alone; a described data set has its own test split")
    changes: dict[str, Any] = {"device": device, "seed": seed, "threads": threads}
    changed = {key: value for key, value in changes.items() if value is not None}
    if given.data is not None:
        changed |= {"data.source": "arrays", "data.folder": None, "data.file": None, "data.test": None}
    if given.teacher is not None:
        changed |= {**OF_OUR_TEACHER, "teacher.architecture": "module", "teacher.onnx": None}
    elif isinstance(teacher, (str, os.PathLike)):
        changed |= onnx_teacher(os.fspath(teacher))
    elif teacher is not None:
        raise InputError(f"teacher: give a torch module or an ONNX file, not {type(teacher).__name__}")
    described = as_experiment(experiment, changed)
    folder = None if work is None else Path(work)

    def heard(stage: str, epoch: int, epochs: int, done: Epoch) -> None:
        if log is not None:
            log(stage, epoch, epochs, dict(done.terms))

    return train_experiment(described, Path(out), heard, folder, given=given)


def onnx_teacher(path: str) -> dict[str, Any]:
    """The changes to an experiment that make its teacher this file."""
    return {**OF_OUR_TEACHER, "teacher.onnx": path, "teacher.architecture": None}


def train_experiment(
    experiment: Experiment,
    out: Path,
    log: EpochLog = lambda *_: None,
    work: Path | None = None,
    *,
    planned: Callable[[Plan], None] = lambda _: None,
    started: StageLog = lambda *_: None,
    given: Given | None = None,
) -> Trained:
    """Run an experiment; write ``model.pt``, ``teacher.onnx``, the logs and the report to ``out``.

    ``work`` and errors are as for :func:`train`; ``planned`` hears of all stages, ``started`` of each,
    ``log`` of every epoch. Both folders are held to the end: no other training writes to them meanwhile.
    """
    with ExitStack() as folders:
        for folder in (out, work or out):
            folders.enter_context(held_folder(folder))
        return _train_experiment(experiment, out, log, work, planned, started, given or Given())


def _train_experiment(
    experiment: Experiment,
    out: Path,
    log: EpochLog,
    work: Path | None,
    planned: Callable[[Plan], None],
    started: StageLog,
    given: Given,
) -> Trained:
    open_device(experiment.device)
    _check_starts(experiment, out)
    folder = ensure_folder(out)
    machine = machine_name(experiment.device, experiment.threads)
    # What processes of this one have trained side by side is heard of when it is done.
    unnoted = machine if experiment.side_by_side > 1 else UNKNOWN
    journals: list[Journal | EventFiles | TrainedFile] = [
        Journal(folder / "training.jsonl"),
        Journal(folder / "training.csv", csv_line, ",".join(COLUMNS)),
        TrainedFile(folder / NAME, machine, unnoted),
    ]
    if tensorboard_installed():
        journals.append(EventFiles(folder / "tensorboard"))

    def begun(stage: str, epochs: int, done: Sequence[Epoch]) -> None:
        for journal in journals:
            journal.started(stage, done)
        started(stage, epochs, done)

    def heard(stage: str, epoch: int, epochs: int, done: Epoch) -> None:
        for journal in journals:
            journal.epoch(stage, epoch, done)
        log(stage, epoch, epochs, done)

    data = load_splits(
        experiment.data, experiment.seed, experiment.copies, given.data, experiment.students.timesteps
    )
    test = load_test(experiment.data, data, given.test)
    model, teacher = out / "model.pt", out / "teacher.onnx"
    if experiment.teacher.architecture == "module" and given.teacher is not None:
        # What cannot be exported must not be found out at the end.
        save_teacher_onnx(teacher_of_module(given.teacher, data.x[:2]), teacher, data.sample_shape)

    def taught(found: Teacher) -> None:
        _save_teacher(experiment, found, teacher, data.sample_shape)

    def kept(index: int, network: nn.Module, features: Any) -> None:
        path = _student_file(out, index)
        save_finished(path, index, network, experiment, data.input_shape, features)

    distilled = run_experiment(
        experiment,
        work or out / "work",
        heard,
        started=begun,
        planned=planned,
        taught=taught,
        kept=kept,
        given=given,
        data=data,
        watched=True,
    )
    for journal in journals:
        journal.finish()
    whence = provenance(experiment, distilled) | _file_notes(experiment, test, out)
    ensemble = replace(distilled.ensemble, provenance=whence)
    ensemble.save(model)
    result = _measured(ensemble, experiment, test, teacher, out)
    return Trained(model, teacher, ensemble, result, distilled.brought)


def _check_starts(experiment: Experiment, out: Path) -> None:
    """Refuse a student to begin with that the run itself writes: the same command would begin further on."""
    students = experiment.students
    written = {out / "model.pt", *(_student_file(out, index) for index in students.trained)}
    written = {path.resolve() for path in written}
    for index in students.trained:
        start = students.start(index)
        if start is not None and Path(start).resolve() in written:
            raise InputError(
                f"{students.place(index)}.start {start!r}: this run writes that file, so that the next one "
                "would begin elsewhere; copy it and name the copy, or give another --out"
            )


def _student_file(out: Path, index: int) -> Path:
    return out / "students" / f"student{index}.pt"


def _file_notes(experiment: Experiment, test: DataSet, out: Path) -> dict[str, Any]:
    """Of a single file: write what is measured on; for the provenance, how it begins."""
    if experiment.data.file is None:
        return {}
    arrays = {"x": test.x, "y": test.y, "lengths": test.lengths}
    with atomic_path(out / "test.npz") as temporary, temporary.open("wb") as stream:
        given: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
        np.savez(stream, **given)
    whole = load_file(experiment.data, experiment.students.timesteps)
    return {KEY: seen_file(whole, len(whole) - len(test))}


def _save_teacher(experiment: Experiment, trained: Teacher, path: Path, sample: tuple[int, ...]) -> None:
    """Ours as ONNX; another's as it came."""
    if experiment.teacher.onnx is None:
        save_teacher_onnx(copy.deepcopy(trained).cpu(), path, sample)
        return
    write_whole(path, read_onnx(Path(experiment.teacher.onnx)))


def provenance(experiment: Experiment, distilled: Distilled) -> dict[str, Any]:
    """What a model says of its origin: the experiment, versions, sizes of the parts, the policy's fit."""
    fitted = distilled.fitted
    return {
        "experiment": json.dumps(_described(experiment), separators=(",", ":")),
        "versions": {name: version(name) for name in PACKAGES},
        "features": [len(part) for part in distilled.parts],
        "students_on_validation": [asdict(one) for one in distilled.brought],
        **(
            {}
            if fitted is None
            else {
                "policy_validation_accuracy": fitted.accuracy,
                "policy_validation_accuracy_all": fitted.accuracy_all,
                "policy_mean_students": fitted.mean_students,
            }
        ),
    }


def _described(experiment: Experiment) -> dict[str, Any]:
    """What was trained, without the folders of this machine: of files, the names."""
    found = experiment.model_dump(mode="json", exclude_none=True, exclude={"data": {"folder", "file"}})
    members = found["students"].get("member", ())
    files = ((member, key) for member in members for key in FILES)
    for table, key in ((found["teacher"], "onnx"), *files):
        if key in table:
            table[key] = Path(table[key]).name
    return found


def _measured(ensemble: Ensemble, experiment: Experiment, test: DataSet, teacher: Path, out: Path) -> Result:
    """The test split on target loihi; the report is saved."""
    from sne_deploy import api

    with api.compile(ensemble, "loihi", weight_bits=experiment.quantisation.weight_bits) as compiled:
        result = compiled.run(
            test.x,
            test.y,
            lengths=test.lengths,
            model=experiment.name,
            data_name=test.name,
            teacher=teacher,
        )
    result.save(out)
    return result
