"""What ``sne train`` does: run an experiment, write model, teacher and log, and measure what is deployed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sne_deploy.distill.experiment import Experiment
from sne_deploy.distill.experiment_data import data_spec
from sne_deploy.distill.run import Distilled, distill
from sne_deploy.distill.teacher import save_teacher_onnx
from sne_deploy.files import atomic_path, ensure_folder
from sne_deploy.onnx_model import read_onnx

if TYPE_CHECKING:
    from sne_deploy.compiled import Result

PACKAGES = ("norse", "numpy", "sne-deploy", "torch")


@dataclass(frozen=True, eq=False)
class Trained:
    """Files of a training run, and its figures on the test split as deployed on target loihi."""

    model: Path
    teacher: Path
    result: Result


def train(
    experiment: Experiment,
    out: Path,
    log: Callable[[str, int, int, dict[str, float]], None] = lambda *_: None,
    work: Path | None = None,
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

    Raises
    ------
    InputError, DataError, RunError
        As :func:`sne_deploy.distill.run.distill`.
    OutputError
        Something cannot be written.
    """
    lines = ensure_folder(out) / "training.jsonl"

    def heard(stage: str, epoch: int, epochs: int, terms: dict[str, float]) -> None:
        with lines.open("a") as file:
            file.write(json.dumps({"stage": stage, "epoch": epoch, **terms}) + "\n")
        log(stage, epoch, epochs, terms)

    distilled = distill(experiment, work or out / "work", heard)
    model, teacher = out / "model.pt", out / "teacher.onnx"
    _save_teacher(experiment, distilled, teacher)
    ensemble = replace(distilled.ensemble, provenance=provenance(experiment, distilled))
    ensemble.save(model)
    return Trained(model, teacher, _measured(ensemble, experiment, teacher, out))


def _save_teacher(experiment: Experiment, distilled: Distilled, path: Path) -> None:
    """Ours as ONNX; another's as it came."""
    if experiment.teacher.onnx is None:
        save_teacher_onnx(distilled.teacher, path, distilled.ensemble.input_shape)
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(read_onnx(Path(experiment.teacher.onnx)))


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


def _measured(ensemble: Any, experiment: Experiment, teacher: Path, out: Path) -> Result:
    """The test split on target loihi; the report is saved."""
    import sne_deploy as sne
    from sne_deploy.data import load_data

    spec = data_spec(experiment.data, "test")
    data = load_data(
        spec, input_shape=ensemble.input_shape, timesteps=ensemble.timesteps, encoder=ensemble.encoder
    )
    with sne.compile(ensemble, "loihi", weight_bits=experiment.quantisation.weight_bits) as compiled:
        result = compiled.run(data.x, data.y, model=experiment.name, data_name=spec, teacher=teacher)
    result.save(out)
    return result
