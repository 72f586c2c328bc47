"""``sne.train(...)``: a package that can be called, with data and teachers of one's own."""

from __future__ import annotations

import copy
import inspect
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import sne_deploy as sne
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.teacher.given import teacher_of_module
from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.errors import DataError, InputError

DICE = np.random.default_rng(0)
Y = np.arange(80) % 4
X = np.clip(DICE.random((80, 1, 4, 4)) * 0.4 + Y[:, None, None, None] / 4, 0, 1).astype(np.float32)
LAYERS = [
    {"kind": "Flatten"},
    {"kind": "Linear", "out": 6},
    {"kind": "LIFBoxCell"},
    {"kind": "Linear"},
    {"kind": "LIBoxCell"},
]
DOCUMENT: dict[str, Any] = {
    "name": "own",
    "threads": 1,
    "data": {"source": "arrays", "validation": 20},
    "teacher": {"architecture": "mlp", "width": 8, "features": 6, "schedule": {"epochs": 1}},
    "students": {"count": 2, "timesteps": 2, "layers": LAYERS, "schedule": {"epochs": 1}},
}


class Named(nn.Module):
    """A module whose last layer has a name of its own, and whose forward pass does more than a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(16, 7))
        self.fc = nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(torch.relu(self.body(x)) + 0.1)
        return logits


def sequence() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 7), nn.ReLU(), nn.Linear(7, 4))


def test_no_public_name_is_a_package() -> None:
    program = """
import sys
import types
import sne_deploy as sne
assert "torch" not in sys.modules and "train" in dir(sne)
import sne_deploy.distill.run
import sne_deploy.distill.command
assert type(sne.distill) is types.ModuleType and not callable(sne.distill)
assert sne.train is sne_deploy.distill.command.train
assert not [name for name in sne.__all__ if isinstance(getattr(sne, name), types.ModuleType)]
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert list(inspect.signature(sne.train).parameters) == [
        "experiment",
        "out",
        "teacher",
        "data",
        "test",
        "device",
        "seed",
        "threads",
        "work",
        "log",
    ]


@pytest.mark.parametrize("form", ["dict", "experiment", "file"])
def test_arrays_and_each_form_of_a_description(form: str, tmp_path: Path) -> None:
    described: Any = DOCUMENT
    if form == "experiment":
        described = parse_experiment(DOCUMENT)
    elif form == "file":
        described = tmp_path / "experiment.toml"
        tables = {key: value for key, value in DOCUMENT.items() if key in ("teacher", "students")}
        lines = [f"{key} = {_toml(value)}" for key, value in tables.items()]
        described.write_text(
            "\n".join(["name = 'own'", "data = {source = 'digits', validation = 20}", *lines])
        )
    before = copy.deepcopy(DOCUMENT)
    heard: list[str] = []
    trained = sne.train(
        described,
        tmp_path / "out",
        data=(X, Y.tolist()),
        test=(torch.from_numpy(X[:30]), Y[:30]),
        seed=4,
        log=lambda stage, *_: heard.append(stage),
    )
    assert before == DOCUMENT
    assert heard == ["teacher", "student0", "student1"]
    assert trained.ensemble.input_shape == (1, 4, 4)
    assert json.loads(trained.ensemble.provenance["experiment"])["seed"] == 4
    assert (trained.result.report.data.name, trained.result.report.data.samples) == ("arrays:test", 30)
    with sne.compile(sne.load(trained.model), "loihi", fidelity=False) as compiled:
        assert compiled.run(X[:30], Y[:30]).accuracy == trained.result.accuracy


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    return repr(value)


def test_without_test_data_the_report_says_validation(tmp_path: Path) -> None:
    trained = sne.train(DOCUMENT, tmp_path, data=(X, Y))
    assert trained.result.report.data.name == "arrays:validation"
    assert trained.result.report.data.samples == 20


@pytest.mark.parametrize("make", [sequence, Named])
def test_a_torch_module_is_a_teacher(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = make()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    heard: list[str] = []
    separate = {**DOCUMENT, "partition": {"decorrelate": 1.0, "decorrelate_epochs": 1}}
    trained = sne.train(
        separate, tmp_path, teacher=module, data=(X, Y), log=lambda stage, *_: heard.append(stage)
    )
    assert heard == ["decorrelation", "student0", "student1"]
    assert sum(len(student.features) for student in trained.ensemble.students) == 7  # type: ignore[arg-type]
    assert module.training
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    heard.clear()
    sne.train(separate, tmp_path, teacher=module, data=(X, Y), log=lambda stage, *_: heard.append(stage))
    assert heard == []
    with torch.no_grad():
        next(iter(module.parameters())).add_(0.5)
    sne.train(separate, tmp_path, teacher=module, data=(X, Y), log=lambda stage, *_: heard.append(stage))
    assert heard == ["decorrelation", "student0", "student1"]


def test_the_split_of_a_module_gives_its_logits() -> None:
    x = torch.from_numpy(X[:5])
    for module in (sequence(), Named(), Teacher(nn.Flatten(), nn.Linear(16, 4))):
        teacher = teacher_of_module(module, x)
        torch.testing.assert_close(teacher(x), module.eval()(x))
        assert teacher.features(x).shape == (5, teacher.classifier.in_features)


class Reversed(nn.Module):
    """The layer that was registered last does not act last."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(16, 16)
        self.first = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.first(x.flatten(1)))
        return logits


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Softmax(dim=1)),
            "its last module is Softmax, not Linear",
        ),
        (nn.ReLU(), "its last module is ReLU, not Linear"),
        (Reversed(), "a Linear of 16 features, does not give its output"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(9, 4)),
            r"does not run on samples of shape \(1, 4, 4\): mat1 and mat2",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), "teacher has 3 classes, but the labels go up to 3"),
    ],
)
def test_modules_that_cannot_teach(module: nn.Module, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        sne.train(DOCUMENT, tmp_path, teacher=module, data=(X, Y))
    assert "\n" not in str(caught.value)


def test_a_module_that_cannot_be_copied_cannot_teach() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it deprecated
        normed = nn.utils.weight_norm(nn.Linear(16, 7))
    module = nn.Sequential(nn.Flatten(), normed, nn.ReLU(), nn.Linear(7, 4))
    with pytest.raises(InputError, match=r"cannot be copied .*take torch\.nn\.utils\.param") as caught:
        teacher_of_module(module, torch.from_numpy(X[:5]))
    assert "\n" not in str(caught.value)
    of_now = nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(16, 7)), nn.ReLU(), nn.Linear(7, 4))
    assert teacher_of_module(of_now, torch.from_numpy(X[:5])).classifier.in_features == 7


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    described: Any = {**DOCUMENT, "data": {"source": "digits", "validation": 20}}
    for kind, message, arguments in (
        (InputError, "test: is for data=", {"test": (X, Y)}),
        (InputError, "teacher: give a torch module or an ONNX file, not int", {"teacher": 3}),
        (DataError, r"data: give a pair \(x, y\), not ndarray", {"data": X}),
        (DataError, r"data: x \(list\) is no array of numbers", {"data": ([[1], [1, 2]], Y)}),
        (DataError, r"y has shape \(7,\), must be \(80,\)", {"data": (X, Y[:7])}),
        (DataError, "samples have shape", {"data": (X, Y), "test": (X[:, :, :3], Y)}),
        (DataError, "label 9, but training sees none above 3", {"data": (X, Y), "test": (X, Y + 6)}),
        (DataError, r"values from .* leave the model's input range", {"data": (X - 0.5, Y)}),
        (InputError, "device 'toaster' cannot be used", {"device": "toaster"}),
    ):
        with pytest.raises(kind, match=message):
            sne.train(described, tmp_path, **arguments)
    with pytest.raises(InputError, match="experiment: give a TOML file, a dict or an Experiment, not int"):
        sne.train(3, tmp_path)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InputError, match=r"experiment: data: must be a table"):
        sne.train({"data": 3}, tmp_path, data=(X, Y))
    with pytest.raises(DataError, match=r"data\.source 'arrays': these are given in Python"):
        sne.train(DOCUMENT, tmp_path)
