"""What a work folder keeps is taken up by the same training alone, and is then the same, bit for bit."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sne_deploy as sne
from sne_deploy.distill.data.given import Given, as_arrays
from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import Experiment, parse_experiment
from sne_deploy.distill.pupils import train_students
from sne_deploy.distill.run import _prepared
from sne_deploy.distill.stages import Stages
from sne_deploy.distill.teacher.given import digest_of_module
from sne_deploy.errors import InputError

SCHEDULE = {"epochs": 2, "batch_size": 16}
LAYERS = [
    {"kind": "Linear", "out": 12},
    {"kind": "LIFBoxCell", "v_th": 0.1},
    {"kind": "Linear", "out": 10},
    {"kind": "LIFBoxCell", "v_th": 0.1},
    {"kind": "Linear"},
    {"kind": "LIBoxCell"},
]


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random, y = np.random.default_rng(seed), np.arange(80) % 3
    x = 0.5 + 0.2 * np.eye(3, 6)[y] + 0.1 * random.normal(size=(80, 6))
    return x.clip(0, 1).astype(np.float32), y


def described(students: Mapping[str, Any], **sections: Any) -> Experiment:
    return parse_experiment(document(students, **sections))


def document(students: Mapping[str, Any], **sections: Any) -> dict[str, Any]:
    common = {"count": 1, "timesteps": 2, "layers": LAYERS, "schedule": SCHEDULE}
    return {
        "name": "kept",
        "threads": 1,
        "data": {"source": "arrays", "validation": 20},
        "teacher": {"architecture": "mlp", "width": 8, "features": 8, "schedule": {**SCHEDULE, "epochs": 1}},
        "students": {**common, **students},
        **sections,
    }


class Killed(Exception):  # noqa: N818  it is none of the package's errors
    pass


def student(experiment: Experiment, work: Path, killed_after: int | None = None) -> np.ndarray:
    """All parameters of the first student, trained by itself."""

    def log(stage: str, epoch: int, *_: Any) -> None:
        if stage == "student0" and epoch == killed_after:
            raise Killed

    ready = _prepared(Stages(experiment, work, log), Given(data=as_arrays("data", data())))
    (network,), _ = train_students(ready.stages, ready.placed, ready.lesson, ready.parts, only=0)
    return torch.cat([each.detach().flatten() for each in network.parameters()]).numpy()


PRUNING = {"by": "synops", "sparsity": 0.3, "start": 0.0, "end": 0.8, "every": 2}
CHANGES = {
    "steps behind a twin": [
        described({"timesteps": t, "warm_start": {"epochs": 1}, "more_steps": {"timesteps": 6, "epochs": 1}})
        for t in (2, 4)
    ],
    "bits that pruning asks for": [
        described({"pruning": PRUNING}, quantisation={"weight_bits": bits}) for bits in (8, 2)
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_experiment_is_trained_as_in_a_new_folder(change: str, tmp_path: Path) -> None:
    before, after = CHANGES[change]
    first = student(before, tmp_path / "used")
    wanted = student(after, tmp_path / "new")
    assert not np.array_equal(first, wanted)
    np.testing.assert_array_equal(student(after, tmp_path / "used"), wanted)


@pytest.mark.parametrize("end", [1.0, 0.5])
def test_a_student_that_is_being_pruned_goes_on_where_it_was(end: float, tmp_path: Path) -> None:
    pruning = {**PRUNING, "sparsity": 0.5, "end": end}
    experiment = described({"pruning": pruning})
    wanted = student(experiment, tmp_path / "whole")
    with pytest.raises(Killed):
        student(experiment, tmp_path / "killed", killed_after=1)
    np.testing.assert_array_equal(student(experiment, tmp_path / "killed"), wanted)
    np.testing.assert_array_equal(student(experiment, tmp_path / "whole"), wanted)  # loaded as it was kept


def test_data_sets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (40, 28, 28), np.uint8), (np.arange(40) % 10).astype(np.uint8)
    digests = []
    for name, found in (("one", labels), ("other", 9 - labels), ("same", labels)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train-images-idx3-ubyte").write_bytes(
            struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()
        )
        (folder / "train-labels-idx1-ubyte").write_bytes(
            struct.pack(">4BI", 0, 0, 8, 1, len(found)) + found.tobytes()
        )
        source = {"source": "mnist", "folder": str(folder), "validation": 10}
        digests.append(load_splits(described({}, data=source).data, 0, 0).digest)
    assert digests[0] == digests[2] != digests[1]


class Normalised(nn.Module):
    """With a mean that no state dictionary has."""

    def __init__(self, mean: float, scale: float = 1.0, by: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, 3)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.scale, self.by = scale, np.array([by])


def test_teachers_that_differ_in_what_is_not_stored_with_them_are_told_apart() -> None:
    made = [Normalised(0.0), Normalised(0.5), Normalised(0.0, 2.0), Normalised(0.0, 1.0, 3.0)]
    assert len({digest_of_module(one) for one in made}) == len(made)
    assert digest_of_module(Normalised(0.5)) == digest_of_module(made[1])


def test_a_student_is_not_begun_with_a_file_that_the_run_writes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = document({"outputs": "logits", "loss": {"feature": 0.0, "logits": 1.0}})
    sne.train(first, out, data=data())
    written = out / "students" / "student0.pt"
    copied = tmp_path / "begun.pt"
    copied.write_bytes(written.read_bytes())

    def further(start: Path) -> dict[str, Any]:
        students = {key: value for key, value in first["students"].items() if key != "count"}
        return {**first, "students": {**students, "member": [{"start": str(start)}]}}

    for path in (written, out / "model.pt", out / "students" / ".." / "model.pt"):
        with pytest.raises(InputError, match=r"member\.0\.start .* this run writes that file"):
            sne.train(further(path), out, data=data())
    assert copied.read_bytes() == written.read_bytes()
    sne.train(further(copied), out, data=data())
    once = written.read_bytes()
    assert once != copied.read_bytes()
    sne.train(further(copied), out, data=data())
    assert written.read_bytes() == once


TEACHER = {"architecture": "module"}
DIRECT = {"outputs": "logits", "loss": {"feature": 0.0, "logits": 1.0}}


def test_a_teacher_of_more_classes_is_refused_where_its_answers_are_learned(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))

    def train(made: dict[str, Any], name: str) -> Any:
        stages: list[str] = []
        try:
            sne.train(
                {**made, "teacher": TEACHER},
                tmp_path / name,
                data=data(),
                teacher=teacher,
                log=lambda stage, *_: stages.append(stage),
            )
        finally:
            trained[name] = stages

    trained: dict[str, list[str]] = {}
    with pytest.raises(InputError, match=r"5 classes, the labels have 3.*students\.loss\.logits to 0"):
        train(document(DIRECT), "direct")
    with pytest.raises(InputError, match=r"5 classes, the labels have 3.*joint\.logits to 0"):
        train(document({}, joint={"schedule": SCHEDULE, "logits": 0.5}), "joint")
    assert trained == {"direct": [], "joint": []}
    train(document({**DIRECT, "loss": {"feature": 0.0, "cross_entropy": 1.0}}), "direct")
    train(document({}, joint={"schedule": SCHEDULE, "logits": 0.0}), "joint")
    assert "student0" in trained["direct"]
    assert "together" in trained["joint"]


def test_muon_leaves_a_recurrent_neuron_without_a_weight_to_itself(tmp_path: Path) -> None:
    random, y = np.random.default_rng(0), np.arange(60) % 3
    layers = [
        {"kind": "LIFRecurrentCell", "out": 8, "v_th": 0.2},
        {"kind": "Linear"},
        {"kind": "LIBoxCell"},
    ]
    made = document(
        {"timesteps": 5, "layers": layers, "schedule": {"epochs": 1, "batch_size": 16, "optimizer": "muon"}},
        data={"source": "arrays", "validation": 20, "input": "current"},
    )
    x = random.random((60, 5, 4)).astype(np.float32)
    done = sne.train(made, tmp_path, data=(x, y))
    (recurrent,) = (one for one in done.ensemble.students[0].network if one.kind == "LIFRecurrentCell")
    inner = recurrent.tensors["recurrent_weights"]
    assert not np.diagonal(inner).any()
    assert np.count_nonzero(inner) == 8 * 7
