"""What ``sne train`` does: run an experiment, write model, teacher and log, and measure what is deployed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sne_deploy.distill.experiment import Experiment, as_experiment
from sne_deploy.distill.experiment_data import load_splits, load_test
from sne_deploy.distill.given import Given, as_arrays, teacher_of_module
from sne_deploy.distill.journal import Journal
from sne_deploy.distill.run import Distilled, distill
from sne_deploy.distill.stages import EpochLog, StageLog
from sne_deploy.distill.teacher import save_teacher_onnx
from sne_deploy.errors import InputError
from sne_deploy.files import atomic_path, ensure_folder
from sne_deploy.teacher.onnx_model import read_onnx

if TYPE_CHECKING:
    from torch import nn

    from sne_deploy.compiled import Result
    from sne_deploy.data import DataSet
    from sne_deploy.model.ensemble import Ensemble

PACKAGES = ("norse", "numpy", "sne-deploy", "torch")


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training run gave: the files, the ensemble, its figures on the test split on target loihi."""

    model: Path
    teacher: Path
    ensemble: Ensemble
    result: Result


def distill_given(
    experiment: Experiment | Mapping[str, Any] | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    teacher: nn.Module | str | os.PathLike[str] | None,
    data: Any,
    test: Any,
    changes: Mapping[str, Any],
    work: str | os.PathLike[str] | None,
    log: EpochLog | None,
) -> Trained:
    """What ``sne_deploy.distill(...)`` does; see there. ``changes`` of None change nothing."""
    from torch import nn

    given = Given(
        data=None if data is None else as_arrays("data", data),
        test=None if test is None else as_arrays("test", test),
        teacher=teacher if isinstance(teacher, nn.Module) else None,
    )
    if given.test is not None and given.data is None:
        raise InputError("test: is for data=(x, y) alone; a described data set has its own test split")
    changed = {key: value for key, value in changes.items() if value is not None}
    if given.data is not None:
        changed |= {"data.source": "arrays", "data.folder": None}
    if given.teacher is not None:
        changed |= {"teacher.architecture": "module", "teacher.onnx": None}
    elif isinstance(teacher, (str, os.PathLike)):
        changed |= onnx_teacher(os.fspath(teacher))
    elif teacher is not None:
        raise InputError(f"teacher: give a torch module or an ONNX file, not {type(teacher).__name__}")
    described = as_experiment(experiment, changed)
    folder = None if work is None else Path(work)
    return train(described, Path(out), log or (lambda *_: None), folder, given=given)


def onnx_teacher(path: str) -> dict[str, Any]:
    """The changes to an experiment that make its teacher this file."""
    return {"teacher.onnx": path, "teacher.architecture": None}


def train(
    experiment: Experiment,
    out: Path,
    log: EpochLog = lambda *_: None,
    work: Path | None = None,
    *,
    started: StageLog = lambda *_: None,
    given: Given | None = None,
) -> Trained:
    """Run an experiment; write ``model.pt``, ``teacher.onnx``, ``training.jsonl`` and the report to ``out``.

    Parameters
    ----------
    experiment : Experiment
    out : Path
        A folder; a run that was killed goes on where it was.
    log : callable
        Called as log(stage, epoch from 1, epochs, mean of every loss term).
    work : Path, optional
        Where the stages keep their state; ``out/work`` if left out. Experiments that share stages, such as
        the teacher, share them there.
    started : callable
        Called as started(stage, epochs, loss terms of those that are done already).
    given : Given, optional
        Arrays and a teacher that the experiment does not describe.

    Raises
    ------
    InputError, DataError, UnsupportedError, RunError
        As :func:`sne_deploy.distill.run.distill`.
    OutputError
        Something cannot be written.
    """
    given = given or Given()
    journal = Journal(ensure_folder(out) / "training.jsonl")

    def begun(stage: str, epochs: int, done: Sequence[Mapping[str, float]]) -> None:
        journal.started(stage, done)
        started(stage, epochs, done)

    def heard(stage: str, epoch: int, epochs: int, terms: dict[str, float]) -> None:
        journal.epoch(stage, epoch, terms)
        log(stage, epoch, epochs, terms)

    data = load_splits(experiment.data, experiment.seed, experiment.copies, given.data)
    test = load_test(experiment.data, data, given.test)
    model, teacher = out / "model.pt", out / "teacher.onnx"
    if experiment.teacher.architecture == "module" and given.teacher is not None:
        # What cannot be exported must not be found out at the end.
        save_teacher_onnx(teacher_of_module(given.teacher, data.x[:2]), teacher, data.input_shape)
    distilled = distill(experiment, work or out / "work", heard, started=begun, given=given, data=data)
    journal.finish()
    _save_teacher(experiment, distilled, teacher)
    ensemble = replace(distilled.ensemble, provenance=provenance(experiment, distilled))
    ensemble.save(model)
    return Trained(model, teacher, ensemble, _measured(ensemble, experiment, test, teacher, out))


def _save_teacher(experiment: Experiment, distilled: Distilled, path: Path) -> None:
    """Ours as ONNX; another's as it came."""
    if experiment.teacher.onnx is None:
        save_teacher_onnx(distilled.teacher, path, distilled.ensemble.input_shape)
        return
    content = read_onnx(Path(experiment.teacher.onnx))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def provenance(experiment: Experiment, distilled: Distilled) -> dict[str, Any]:
    """What a model says of its origin: the experiment, versions, sizes of the parts, the policy's fit."""
    fitted = distilled.fitted
    return {
        "experiment": experiment.model_dump_json(exclude_none=True, exclude={"data": {"folder"}}),
        "versions": {name: version(name) for name in PACKAGES},
        "features": [len(part) for part in distilled.parts],
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


def _measured(ensemble: Ensemble, experiment: Experiment, test: DataSet, teacher: Path, out: Path) -> Result:
    """The test split on target loihi; the report is saved."""
    import sne_deploy as sne

    with sne.compile(ensemble, "loihi", weight_bits=experiment.quantisation.weight_bits) as compiled:
        result = compiled.run(test.x, test.y, model=experiment.name, data_name=test.name, teacher=teacher)
    result.save(out)
    return result
