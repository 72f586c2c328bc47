"""Drops under noise are those of the runtime and of the teacher on the same images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import sne_deploy as sne
from experiments.study import noise
from experiments.study.corruptions import corrupt
from sne_deploy.data import load_data
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.schema.noise import NoiseModel
from sne_deploy.errors import InputError
from sne_deploy.teacher.run import evaluate_teacher
from tests.distill.test_run import DOCUMENT

DIGITS = Path(__file__).parents[3] / "examples" / "digits"


def test_the_section_is_no_part_of_any_stage() -> None:
    plain = parse_experiment(DOCUMENT)
    noisy = parse_experiment({**DOCUMENT, "noise": {"gaussian": [0.1], "samples": 3, "seed": 4}})
    assert noisy.noise == NoiseModel(gaussian=(0.1,), samples=3, seed=4)
    sections = ("teacher", "partition", "students", "joint", "quantisation", "policy")
    assert plain.fingerprint(*sections) == noisy.fingerprint(*sections)
    with pytest.raises(InputError, match=r"noise\.occlusion\.0: input should be less than or equal to 1"):
        parse_experiment({**DOCUMENT, "noise": {"occlusion": [1.2]}})


def test_rows_are_what_the_runtime_and_the_teacher_give() -> None:
    ensemble = sne.load(DIGITS / "model.pt")
    data = load_data("digits", input_shape=(1, 8, 8), timesteps=16, encoder=ensemble.encoder)
    assert data.y is not None
    grid = NoiseModel(gaussian=(0.1, 0.6), contrast=(0.2,), samples=60, seed=5, draws=2)
    rows = noise.noise_rows(ensemble, DIGITS / "teacher.onnx", data.x, data.y, grid)
    assert [(row.family, row.strength, row.seed) for row in rows] == [
        ("clean", 0.0, 5), ("gaussian", 0.1, 5), ("gaussian", 0.1, 6), ("gaussian", 0.6, 5),
        ("gaussian", 0.6, 6), ("contrast", 0.2, 5),
    ]  # fmt: skip
    clean, worst = rows[0], rows[4]
    x = corrupt(data.x[:60], "gaussian", 0.6, 6)
    theirs = evaluate_teacher(DIGITS / "teacher.onnx", x, data.y[:60]).accuracy
    with sne.compile(ensemble, "loihi", fidelity=False) as compiled:
        ours = compiled.run(x, data.y[:60])
    assert (worst.teacher_accuracy, worst.ensemble_accuracy) == (theirs, ours.accuracy)
    assert worst.synops == ours.report.ensemble.synops_per_sample
    assert worst.ensemble_drop == pytest.approx(
        (clean.ensemble_accuracy - worst.ensemble_accuracy) / clean.ensemble_accuracy
    )
    assert worst.ensemble_drop > 0.1
    assert worst.teacher_drop > 0.0
    drops = {(drop.family, drop.seed): drop for drop in noise.mean_drops(rows)}
    assert list(drops) == [(family, seed) for seed in (5, 6) for family in ("gaussian", "contrast", "all")]
    own = (rows[2].teacher_drop + worst.teacher_drop) / 2
    assert drops["gaussian", 6].teacher_drop == pytest.approx(own)
    assert drops["contrast", 6].ensemble_drop == drops["contrast", 5].ensemble_drop == rows[5].ensemble_drop
    for seed in (5, 6):
        both = [drops[family, seed].ensemble_drop for family in ("gaussian", "contrast")]
        assert drops["all", seed].ensemble_drop == pytest.approx(sum(both) / 2)
    json.dumps([dataclasses.asdict(row) for row in rows], allow_nan=False)
    with pytest.raises(InputError, match=r"noise\.samples 60: there are 5; ask for as many or fewer"):
        noise.noise_rows(ensemble, DIGITS / "teacher.onnx", data.x[:5], data.y[:5], grid)
