"""Twins: the students' weights, ReLUs by definition, MACs by hand, trained and resumed like students."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from experiments.study.twins import Twins, dense_macs, mirror_twin, train_twins, twin_network, twin_rows
from sne_deploy.data import digits_split
from sne_deploy.distill.experiment import Experiment, parse_experiment
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Encoder, Ensemble, Head, Student
from tests.distill.test_run import DOCUMENT, LAYERS, SCHEDULE, KilledError, killed_after

TEACHER = Path(__file__).parents[3] / "examples" / "digits" / "teacher.onnx"
DESCRIBED = [LayerModel.model_validate(layer) for layer in LAYERS]
SHAPE = (1, 8, 8)


def experiment(**changes: Any) -> Experiment:
    return parse_experiment({**DOCUMENT, **changes})


def ensemble(parts: tuple[list[int], ...] = ([0, 2, 5], [1, 3, 4, 6])) -> Ensemble:
    """As far as twins ask: whose features are whose, read-only as a file gives them."""
    features = [np.array(part, np.int64) for part in parts]
    for part in features:
        part.setflags(write=False)
    students = tuple(Student(f"student{k}", (), "v_mean", part) for k, part in enumerate(features))
    return Ensemble(students, SHAPE, 3, Encoder("constant"), Head("mean"))


def test_a_twin_starts_with_the_students_weights() -> None:
    with deterministic(5):
        student = student_network(DESCRIBED, SHAPE, 7, 1e-3)
    with deterministic(5):
        twin = twin_network(DESCRIBED, SHAPE, 7, 1e-3)
    for name, value in student.state_dict().items():
        assert torch.equal(value, twin[0].state_dict()[name]), name
    assert [type(layer) for layer in twin[0]] == [
        nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear, nn.Identity,
    ]  # fmt: skip


def test_a_mirrored_twin_answers_as_the_twin_answers_the_mirrored_image() -> None:
    twin = twin_network(DESCRIBED, SHAPE, 7, 1e-3).eval()
    image, x = mirror_twin(twin), torch.rand(9, *SHAPE)
    assert torch.equal(
        simulate(image, x, 1, "v_last").outputs, simulate(twin, x.flip(-1), 1, "v_last").outputs
    )
    assert dense_macs(image, SHAPE) == dense_macs(twin, SHAPE)


@pytest.mark.parametrize("readout", ["v_last", "v_mean", "v_max"])
def test_a_step_of_a_twin_is_its_relu_network_bit_for_bit(readout: Any) -> None:
    twin = twin_network(DESCRIBED, SHAPE, 7, 1e-3)
    x = torch.rand(9, *SHAPE) * 100
    for module in (twin.train(), twin.eval()):
        with torch.no_grad():
            done = simulate(module, x, 1, readout)
            conv, norm, _, _, linear, _ = twin[0]
            wanted = linear(torch.relu(norm(conv(x))).flatten(1))
        assert torch.equal(done.outputs, wanted)
        assert done.rates == ()
    done = simulate(twin, x, 1, readout)
    done.outputs.square().sum().backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())


def test_macs_by_hand() -> None:
    assert dense_macs(twin_network(DESCRIBED, SHAPE, 7, 1e-3), SHAPE) == 3 * 4 * 4 * 9 + 3 * 4 * 4 * 7
    grouped = [
        LayerModel(kind="Conv2d", out=6, kernel=3, groups=2),
        LayerModel(kind="LIFCell"),
        LayerModel(kind="AvgPool2d"),
        LayerModel(kind="Flatten"),
        LayerModel(kind="Linear", out=5),
        LayerModel(kind="LICell"),
    ]
    macs = dense_macs(twin_network(grouped, (4, 8, 8), 5, 1e-3), (4, 8, 8))
    assert macs == 6 * 6 * 6 * (4 // 2) * 9 + 6 * 3 * 3 * 5


def test_a_skip_takes_an_earlier_layers_activations() -> None:
    skipping = [
        LayerModel(kind="Conv2d", out=3, kernel=3, padding=1),
        LayerModel(kind="LIFBoxCell"),
        LayerModel(kind="Conv2d", out=4, kernel=3, padding=1),
        LayerModel(kind="LIFBoxCell"),
        LayerModel(kind="Conv2d", out=5, kernel=3, padding=1),
        LayerModel(kind="SkipConv2d", kernel=1, over=1),
        LayerModel(kind="LIFBoxCell"),
        LayerModel(kind="Flatten"),
        LayerModel(kind="Linear", out=6),
        LayerModel(kind="LIBoxCell"),
    ]
    with deterministic(5):
        student = student_network(skipping, SHAPE, 6, 1e-3)
    with deterministic(5):
        twin = twin_network(skipping, SHAPE, 6, 1e-3)
    kept = {name: value for name, value in student.state_dict().items() if name in twin[0].state_dict()}
    assert all(torch.equal(value, twin[0].state_dict()[name]) for name, value in kept.items())
    assert {name.split(".")[0] for name in kept} == {"0", "2", "4", "5", "8"}
    first, _, second, _, third, skip, _, _, linear = list(twin[0])[:9]
    x = torch.randn(7, *SHAPE)
    with torch.no_grad():
        early = torch.relu(first(x))
        late = torch.relu(third(torch.relu(second(early))) + nn.functional.conv2d(early, skip.weight))
        assert torch.equal(simulate(twin, x, 1, "v_last").outputs, linear(late.flatten(1)))
    assert dense_macs(twin, SHAPE) == 64 * (9 * (1 * 3 + 3 * 4 + 4 * 5) + 3 * 5 + 5 * 6)


def test_cells_that_need_time_are_refused() -> None:
    layers = [
        LayerModel(kind="Flatten"),
        LayerModel(kind="LIFRecurrentCell", out=4),
        LayerModel(kind="LIBoxCell"),
    ]
    with pytest.raises(InputError, match="LIFRecurrentCell has no twin without time"):
        twin_network(layers, SHAPE, 4, 1e-3)


def tensors(twins: Twins) -> list[Any]:
    values = [value.numpy() for network in twins.networks for value in network.state_dict().values()]
    return [*values, twins.head.weight, twins.head.bias, twins.head.mean, twins.head.subset_bias]


@pytest.mark.parametrize("joint", [None, DOCUMENT["joint"]])
def test_twins_are_trained_like_students_and_resumed(tmp_path: Path, joint: Any) -> None:
    described = experiment(joint=joint)
    heard: list[str] = []
    whole = train_twins(described, ensemble(), TEACHER, tmp_path / "a", lambda stage, *_: heard.append(stage))
    stages = ["twin0", "twin1"] if joint is None else ["twin0", "twin1", "twins together"]
    assert heard == [stage for stage in stages for _ in range(SCHEDULE["epochs"])]
    for _ in stages:
        with pytest.raises(KilledError):
            train_twins(described, ensemble(), TEACHER, tmp_path / "b", killed_after(1))
    resumed = train_twins(described, ensemble(), TEACHER, tmp_path / "b")
    for wanted, found in zip(tensors(whole), tensors(resumed), strict=True):
        np.testing.assert_array_equal(wanted, found)
    assert sorted(whole.order) == [0, 1]
    assert whole.macs == (3 * 16 * 9 + 48 * 3, 3 * 16 * 9 + 48 * 4)


def test_the_teacher_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = experiment(joint=None)
    whole = train_twins(described, ensemble(), TEACHER, tmp_path)
    monkeypatch.delattr("sne_deploy.distill.stages.extract_features")
    again = train_twins(described, ensemble(), TEACHER, tmp_path)
    for wanted, found in zip(tensors(whole), tensors(again), strict=True):
        np.testing.assert_array_equal(wanted, found)


def test_other_slices_or_another_teacher_are_other_trainings(tmp_path: Path) -> None:
    described = experiment(joint=None)
    train_twins(described, ensemble(), TEACHER, tmp_path)
    heard: list[str] = []
    train_twins(
        described,
        ensemble(([0, 2, 5], [1, 3, 4, 7])),
        TEACHER,
        tmp_path,
        lambda stage, *_: heard.append(stage),
    )
    assert set(heard) == {"twin0", "twin1"}


def test_rows_are_of_the_first_twins_through_the_head(tmp_path: Path) -> None:
    schedule = {"epochs": 25, "batch_size": 32, "learning_rate": 1e-2}
    students = {**DOCUMENT["students"], "schedule": schedule}
    data = {**DOCUMENT["data"], "augment": "none", "train_samples": 400}
    parts = (list(range(0, 64, 2)), list(range(1, 64, 2)))
    twins = train_twins(
        experiment(joint=None, students=students, data=data), ensemble(parts), TEACHER, tmp_path
    )
    _, _, x, y = digits_split()
    one, both = twin_rows(twins, x[:, None], y)
    assert [row.students for row in (one, both)] == [1, 2]
    assert (one.student_macs, both.student_macs) == (twins.macs[twins.order[0]], sum(twins.macs))
    assert (one.head_macs, both.head_macs) == (320, 640)
    assert both.macs == both.student_macs + both.head_macs
    assert both.accuracy > 0.85
    images = torch.from_numpy(x[:, None])
    with torch.no_grad():
        outputs = torch.cat([network[:-1](images) for network in twins.networks], dim=1).double().numpy()
    assert twins.head.weight is not None
    assert twins.head.bias is not None
    assert twins.head.subset_bias is not None
    logits = outputs @ twins.head.weight.T + twins.head.bias + twins.head.subset_bias[-1]
    assert both.accuracy == pytest.approx(np.mean(logits.argmax(axis=1) == y), abs=1 / len(y))
    json.dumps([asdict(row) for row in (one, both)], allow_nan=False)


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the model has 1 students, the experiment 2; give the experiment"):
        train_twins(experiment(), ensemble(([0],)), TEACHER, tmp_path)
    with pytest.raises(InputError, match=r"teacher 'teacher\.onnx' has 64 features, too few for the model"):
        train_twins(experiment(), ensemble(([0], [64])), TEACHER, tmp_path)
    unknown = Ensemble(
        (Student("a", (), "v_mean"), Student("b", (), "v_mean")), SHAPE, 3, Encoder("constant"), Head("mean")
    )
    with pytest.raises(InputError, match="student 'a' does not say which features it learned"):
        train_twins(experiment(), unknown, TEACHER, tmp_path)


def test_twins_of_students_that_give_logits_answer_with_their_mean(tmp_path: Path) -> None:
    loss = {"feature": 0.0, "cross_entropy": 0.5, "logits": 1.0, "synops": 0.1}
    students = {**DOCUMENT["students"], "outputs": "logits", "loss": loss}
    plain = {"strategy": "correlation"}
    described = experiment(joint=None, quantisation={}, students=students, partition=plain)
    without = tuple(Student(f"student{k}", (), "v_mean") for k in range(2))
    model = Ensemble(without, SHAPE, 3, Encoder("constant"), Head("mean"))
    twins = train_twins(described, model, TEACHER, tmp_path)
    assert twins.head.kind == "mean"
    assert twins.macs == (3 * 16 * 9 + 48 * 10,) * 2
    _, _, x, y = digits_split()
    one, both = twin_rows(twins, x[:, None], y)
    with torch.no_grad():
        each = [network[:-1](torch.from_numpy(x[:, None])).double().numpy() for network in twins.networks]
    assert both.accuracy == pytest.approx(np.mean(sum(each).argmax(axis=1) == y), abs=1 / len(y))
    assert one.accuracy == pytest.approx(np.mean(each[twins.order[0]].argmax(axis=1) == y), abs=1 / len(y))
