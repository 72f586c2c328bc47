"""``sne train --dry-run``: the stages of a run and their sizes, counted otherwise; nothing is written."""

from __future__ import annotations

import math
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from sne_deploy.distill.estimate import busy_note, estimate
from sne_deploy.distill.plan import Plan
from sne_deploy.distill.run import run_experiment
from sne_deploy.inspect.collect import inspect_ensemble
from tests.command_line import command
from tests.distill.test_run import DOCUMENT, LAYERS, TINY, experiment


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(TINY)
    monkeypatch.chdir(tmp_path)
    state = torch.get_rng_state()
    done = command("train", str(path), "--dry-run", "--out", str(tmp_path / "out"), name="sne")
    assert done.status == 0, done.stderr
    assert [str(found) for found in tmp_path.rglob("*")] == [str(path)]
    assert torch.equal(torch.get_rng_state(), state)
    for text in ("100 training", "40 validation", "460 test", "student1", "time    about", "memory  about"):
        assert text in done.stdout
    missing = command("train", str(path), name="sne")
    assert missing.status == 2
    assert "--out is missing" in missing.stderr
    path.write_text(TINY.replace("LIFBoxCell", "Sigmoid"))
    wrong = command("train", str(path), "--dry-run", name="sne")
    assert wrong.status == 2
    assert "'Sigmoid' is unknown" in wrong.stderr


def test_what_is_planned_is_what_is_trained(tmp_path: Path) -> None:
    """Stages, epochs, samples, neurons and synapses; every kind of stage is measured."""
    found = estimate(experiment())
    assert all(math.isfinite(value) and value > 0 for value in found.epoch_s.values())
    assert found.whole_s > sum(stage.epochs * found.epoch_s[stage.name] for stage in found.plan)
    heard: dict[str, int] = {}
    plans: list[Plan] = []

    def log(stage: str, *_: Any) -> None:
        heard[stage] = heard.get(stage, 0) + 1

    done = run_experiment(experiment(), tmp_path, log, planned=plans.append)
    assert plans == [found.plan]
    assert heard == {stage.name: stage.epochs for stage in found.plan}
    assert list(heard) == [stage.name for stage in found.plan]
    samples = {stage.name: stage.samples for stage in found.plan}
    assert samples["teacher"] == samples["decorrelation"] == 120
    assert samples["student0"] == samples["together"] == 240
    student = inspect_ensemble(done.ensemble, "").students[0]
    planned = next(stage for stage in found.plan if stage.name == "quantised0").sizes
    assert planned.neurons == sum(math.prod(node.shape) for node in student.groups)
    assert planned.synapses == sum(one.synapses for one in student.connections if not one.host)
    conv, linear, steps = 4 * 4 * 3 * 9, 3 * 4 * 4 * 4, 3
    assert planned.macs == conv + steps * linear
    assert planned.parameters == 3 * 9 + 2 * 3 + (48 + 1) * 4
    teacher = done.teacher
    assert found.plan[0].sizes.parameters == sum(one.numel() for one in teacher.parameters())


@pytest.mark.parametrize("outputs", ["features", "logits"])
def test_other_experiments_are_estimated_too(outputs: str) -> None:
    teacher = Path(__file__).parents[2] / "examples" / "digits" / "teacher.onnx"
    layers = [*LAYERS[:4], {"kind": "Linear", "out": 6}, {"kind": "LIFRecurrentCell"}, *LAYERS[4:]]
    loss = {"feature": 0.0, "cross_entropy": 1.0} if outputs == "logits" else {}
    students = {**DOCUMENT["students"], "layers": layers, "outputs": outputs, "loss": loss, "copies": 0}
    described = experiment(
        teacher={"onnx": str(teacher)}, partition={}, students=students, joint=None, quantisation={}
    )
    found = estimate(described)
    assert [stage.name for stage in found.plan] == ["student0", "student1"]
    outs = 10 if outputs == "logits" else 32
    recurrent = 6 * outs + outs * outs
    assert found.plan[0].sizes.macs == 4 * 4 * 3 * 9 + 3 * (48 * 6 + recurrent + outs * outs)


def test_what_else_the_machine_does_makes_no_epoch_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a processor takes time, but none of the processor's: an epoch is at most what that took."""
    used = count()
    monkeypatch.setattr("sne_deploy.distill.probe.time.process_time", lambda: next(used) * 1e-4)
    found = estimate(experiment(joint=None, quantisation={}, partition={}))
    assert max(found.epoch_s.values()) <= 1.1e-4


def test_a_busy_machine_is_named() -> None:
    assert busy_note(2.4, 2) == []
    assert "7.9 processes run on 2 processors" in str(busy_note(7.9, 2)[0])
