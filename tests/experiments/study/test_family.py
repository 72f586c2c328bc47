"""Smaller teachers: trained as the teacher is, measured as the teacher is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from experiments.study.family import family_rows
from sne_deploy.data import digits_split
from sne_deploy.distill.experiment import Experiment, parse_experiment
from sne_deploy.distill.run import run_experiment
from sne_deploy.errors import InputError
from tests.distill.test_run import DOCUMENT, SCHEDULE


def experiment(**teacher: Any) -> Experiment:
    described = {"architecture": "mlp", "width": 24, "features": 18, "schedule": SCHEDULE, **teacher}
    document = {**DOCUMENT, "teacher": described, "joint": None, "quantisation": {}, "partition": {}}
    document["data"] = {**DOCUMENT["data"], "augment": "none"}
    document["students"] = {**DOCUMENT["students"], "count": 1, "loss": {}}
    return parse_experiment(document)


def digits() -> tuple[Any, Any]:
    _, _, x, y = digits_split()
    return x[:100, None], y[:100]


def test_networks_are_counted_and_trained_as_the_teacher(tmp_path: Path) -> None:
    heard: list[str] = []
    x, y = digits()
    run_experiment(experiment(), tmp_path)
    rows = family_rows(experiment(), (4, 24), x, y, tmp_path, log=lambda stage, *_: heard.append(stage))
    small, whole = rows
    assert heard == ["width4", "width4"]  # the teacher itself is there already
    assert (small.width, small.features, small.epochs) == (4, 10, 2)  # 18 x 4 / 24 is fewer than the classes
    assert (whole.width, whole.features) == (24, 18)
    assert small.macs == 64 * 4 + 4 * 10 + 10 * 10
    assert whole.macs == 64 * 24 + 24 * 18 + 18 * 10
    assert whole.parameters == whole.macs + 24 + 18 + 10
    again = family_rows(experiment(), (4,), x, y, tmp_path, log=lambda *_: pytest.fail("trained again"))
    assert again == [small]
    json.dumps([asdict(row) for row in rows], allow_nan=False)


def test_longer_training_reaches_more(tmp_path: Path) -> None:
    x, y = digits()
    described = experiment(schedule={**SCHEDULE, "learning_rate": 1e-2})
    (short,), (long,) = (family_rows(described, (12,), x, y, tmp_path, epochs=n) for n in (1, 15))
    assert (short.epochs, long.epochs) == (1, 15)
    assert long.accuracy > short.accuracy + 0.1


def test_what_has_no_family_is_refused(tmp_path: Path) -> None:
    x, y = digits()
    with pytest.raises(InputError, match="has no family to train; give an experiment with one of mlp, cnn"):
        family_rows(experiment(architecture=None, onnx="teacher.onnx"), (4,), x, y, tmp_path)
    with pytest.raises(InputError, match=r"widths \[4, 0\] must be at least 1"):
        family_rows(experiment(), (4, 0), x, y, tmp_path)
