"""A whole experiment on a few digits: the same whether killed and resumed or not; wrong files in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types
import pytest
import torch

import sne_deploy as sne
from sne_deploy.distill.estimate import estimate
from sne_deploy.distill.experiment import Experiment, load_experiment, parse_experiment
from sne_deploy.distill.plan import Plan
from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.training.epochs import Epoch, Seen
from sne_deploy.errors import DataError, InputError
from tests.command_line import command

SCHEDULE = {"epochs": 2, "batch_size": 32}
LAYERS = [
    {"kind": "Conv2d", "out": 3, "stride": 2, "padding": 1, "bias": False},
    {"kind": "BatchNorm2d"},
    {"kind": "LIFBoxCell"},
    {"kind": "Flatten"},
    {"kind": "Linear"},
    {"kind": "LIBoxCell", "tau_mem_s": 4e-3},
]
DOCUMENT: dict[str, Any] = {
    "name": "tiny",
    "threads": 1,
    "data": {"source": "digits", "validation": 40, "train_samples": 120, "augment": "shift"},
    "teacher": {"architecture": "cnn", "width": 3, "features": 8, "schedule": SCHEDULE},
    "partition": {"strategy": "correlation", "decorrelate": 0.5, "decorrelate_epochs": 1},
    "students": {
        "count": 2,
        "timesteps": 3,
        "copies": 1,
        "layers": LAYERS,
        "loss": {"cross_entropy": 0.5, "logits": 0.5, "tau_teacher": 2.0, "synops": 0.1},
        "schedule": SCHEDULE,
    },
    "joint": {"schedule": SCHEDULE, "logits": 1.0, "tau_student": 2.0, "feature": 0.1},
    "quantisation": {"epochs": 2, "weight_bits": 4},
    "policy": {"kind": "confidence", "accuracy_drop": 0.02},
}


def experiment(**changes: Any) -> Experiment:
    return parse_experiment({**DOCUMENT, **changes})


class KilledError(Exception):
    """Stands for a signal between two epochs."""


def killed_after(epochs: int) -> Any:
    left = [epochs]

    def log(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    return log


def tensors(ensemble: sne.Ensemble) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for student in ensemble.students:
        assert isinstance(student.network, tuple)
        found += [array for layer in student.network for array in layer.tensors.values()]
    head = [getattr(ensemble.head, field.name) for field in dataclasses.fields(ensemble.head)]
    return [*found, *(part for part in head if isinstance(part, np.ndarray))]


def test_a_killed_run_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []
    whole = run_experiment(
        experiment(), tmp_path / "whole", lambda stage, epoch, *_: heard.append((stage, epoch))
    )
    stages = list(dict.fromkeys(stage for stage, _ in heard))
    assert stages == [
        "teacher", "decorrelation", "student0", "student1", "together", "quantised0", "quantised1",
    ]  # fmt: skip
    for epochs in (1, 3, 2, 3, 1):  # somewhere in the teacher, then ever further on
        with pytest.raises(KilledError):
            run_experiment(experiment(), tmp_path / "killed", killed_after(epochs))
    resumed = run_experiment(experiment(), tmp_path / "killed")
    assert whole.fitted == resumed.fitted
    for wanted, found in zip(tensors(whole.ensemble), tensors(resumed.ensemble), strict=True):
        np.testing.assert_array_equal(wanted, found)


def test_a_watched_run_is_an_unwatched_one_bit_for_bit(tmp_path: Path) -> None:
    described = experiment(
        teacher={**DOCUMENT["teacher"], "dropout": 0.3},
        students={
            **DOCUMENT["students"],
            "layers": [*LAYERS[:3], {"kind": "Dropout", "p": 0.2}, *LAYERS[3:]],
        },
    )
    heard: dict[bool, list[tuple[str, Epoch]]] = {False: [], True: []}
    made = [
        run_experiment(
            described,
            tmp_path / str(watched),
            lambda stage, *_, heard=found: heard.append((stage, _[-1])),
            watched=watched,
        )
        for watched, found in heard.items()
    ]
    assert [(stage, dict(epoch.terms)) for stage, epoch in heard[False]] == [
        (stage, dict(epoch.terms)) for stage, epoch in heard[True]
    ]
    for plain, watched in zip(*(tensors(done.ensemble) for done in made), strict=True):
        np.testing.assert_array_equal(plain, watched)
    assert all(epoch.seen == Seen() for _, epoch in heard[False])
    for stage, epoch in heard[True]:
        seen = epoch.seen
        assert (seen.accuracy is None) == (stage == "together")
        assert (seen.ensemble_accuracy is None) == (stage in ("teacher", "decorrelation"))
        assert (seen.synops is None) == (stage in ("teacher", "decorrelation"))


def test_a_finished_run_trains_nothing_again(tmp_path: Path) -> None:
    plain = experiment(joint=None, quantisation={}, partition={"strategy": "random"})
    first = run_experiment(plain, tmp_path)
    again = run_experiment(plain, tmp_path, killed_after(1))
    for wanted, found in zip(tensors(first.ensemble), tensors(again.ensemble), strict=True):
        np.testing.assert_array_equal(wanted, found)


def test_the_state_of_another_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run_experiment(experiment(), tmp_path, killed_after(1))
    (path,) = tmp_path.glob("teacher-*.pt")
    other = experiment(teacher={**DOCUMENT["teacher"], "width": 4})
    with pytest.raises(KilledError):
        run_experiment(other, tmp_path, killed_after(1))
    (another,) = set(tmp_path.glob("teacher-*.pt")) - {path}
    path.replace(another)
    with pytest.raises(InputError, match=r"teacher-\w+\.pt: belongs to another experiment; delete it"):
        run_experiment(other, tmp_path)


def test_experiments_share_the_stages_that_are_alike(tmp_path: Path) -> None:
    heard: list[str] = []
    plain: dict[str, Any] = {"joint": None, "quantisation": {}, "partition": {}}
    run_experiment(experiment(**plain), tmp_path)
    other = {**DOCUMENT["students"], "loss": {}}
    run_experiment(experiment(**plain, students=other), tmp_path, lambda stage, *_: heard.append(stage))
    assert list(dict.fromkeys(heard)) == ["student0", "student1"]


def test_training_together_may_see_more_copies_than_each_student_alone(tmp_path: Path) -> None:
    heard: list[str] = []
    plain: dict[str, Any] = {"quantisation": {}, "partition": {}}
    few = run_experiment(experiment(**plain), tmp_path)
    joint = {**DOCUMENT["joint"], "copies": 2}
    many = run_experiment(experiment(**plain, joint=joint), tmp_path, lambda stage, *_: heard.append(stage))
    assert set(heard) == {"together"}
    assert {path.name.split("-")[0] for path in tmp_path.glob("features*.pt")} == {
        "features120",  # the division
        "features240",
        "features360",
    }
    assert not np.array_equal(few.ensemble.head.weight, many.ensemble.head.weight)
    run_experiment(experiment(**plain, joint={**joint, "copies": 1}), tmp_path, killed_after(3))


def test_a_warm_start_is_a_stage_of_its_own(tmp_path: Path) -> None:
    """Killed and resumed it gives the same; students that differ in their spikes alone share it."""
    begun = {"warm_start": {"epochs": 1}, "more_steps": {"timesteps": 4, "epochs": 1}}
    students = {**DOCUMENT["students"], **begun, "schedule": {**SCHEDULE, "epochs": 1}}
    plain: dict[str, Any] = {"joint": None, "quantisation": {}, "partition": {}}
    described = experiment(**plain, students=students)
    heard: list[tuple[str, Epoch]] = []
    planned: list[Plan] = []
    whole = run_experiment(
        described,
        tmp_path / "whole",
        lambda stage, *rest: heard.append((stage, rest[-1])),
        planned=planned.append,
        watched=True,
    )
    stages = list(dict.fromkeys(stage for stage, _ in heard))
    assert stages == ["teacher", "warm0", "longer0", "student0", "warm1", "longer1", "student1"]
    assert [one.name for one in planned[0]] == stages
    found = estimate(described)
    assert all(found.epoch_s[name] > 0 for name in stages)
    terms = {stage: set(epoch.terms) for stage, epoch in heard}
    assert terms["student0"] - terms["warm0"] == {"synops"}
    for stage, epoch in heard:
        assert epoch.seen.accuracy is not None
        assert (epoch.seen.spikes is None) == stage.startswith(("teacher", "warm"))
    for epochs in (3, 1, 1, 1):  # after the first twin, more steps, its student, the second twin
        with pytest.raises(KilledError):
            run_experiment(described, tmp_path / "killed", killed_after(epochs))
    resumed = run_experiment(described, tmp_path / "killed")
    for wanted, made in zip(tensors(whole.ensemble), tensors(resumed.ensemble), strict=True):
        np.testing.assert_array_equal(wanted, made)
    other = experiment(**plain, students={**students, "surrogate": "rectangle", "loss": {}})
    again: list[str] = []
    run_experiment(other, tmp_path / "killed", lambda stage, *_: again.append(stage))
    assert again == stages[1:]  # another loss, cross-entropy left out
    again.clear()
    other = experiment(**plain, students={**students, "surrogate": "rectangle"})
    run_experiment(other, tmp_path / "killed", lambda stage, *_: again.append(stage))
    assert again == ["longer0", "student0", "longer1", "student1"]


def test_students_of_logits_have_no_slices_and_no_head_to_fit(tmp_path: Path) -> None:
    loss = {"feature": 0.0, "logits": 1.0, "tau_teacher": 4.0, "tau_student": 0.5}
    students = {**DOCUMENT["students"], "outputs": "logits", "loss": loss, "surrogate_alpha": 3.0}
    plain: dict[str, Any] = {"joint": None, "quantisation": {}, "partition": {}}
    ensemble = run_experiment(experiment(**plain, students=students), tmp_path).ensemble
    assert ensemble.head.kind == "mean"
    assert all(student.features is None for student in ensemble.students)
    x = np.zeros((2, *ensemble.input_shape), np.float32)
    with sne.compile(ensemble, "loihi") as compiled:
        assert compiled.run(x).run.logits.shape == (2, 10)
    with pytest.raises(InputError, match=r"students: .*outputs 'logits' have no features to learn: set loss"):
        experiment(students={**students, "loss": {"logits": 1.0}})
    with pytest.raises(InputError, match=r"joint trains a head over features; students.outputs 'logits' has"):
        experiment(students=students)


def test_damaged_state_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run_experiment(experiment(), tmp_path, killed_after(1))
    (path,) = tmp_path.glob("teacher-*.pt")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"teacher-\w+\.pt: is damaged .*; delete it to train"):
        run_experiment(experiment(), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "is no TOML"),
        ("colour = 3", "colour: unknown key; known: name, seed,"),
        ("[students]\nlayers = [{kind = 'Linear', size = 3}]", "students.layers.0.size: unknown key"),
        (
            "name = 'a'\n[data]\nsource = 'cats'",
            "data.source: input should be 'digits', 'mnist', 'cifar10', 'npz' or 'arrays'",
        ),
    ],
)
def test_a_wrong_file_is_one_line_with_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_experiment(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_folder_and_a_layer_that_does_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.folder is missing: name the folder that holds mnist"):
        run_experiment(experiment(data={"source": "mnist"}), tmp_path / "a")
    with pytest.raises(DataError, match="nowhere"):
        run_experiment(
            experiment(data={"source": "mnist", "folder": str(tmp_path / "nowhere")}), tmp_path / "b"
        )
    wrong = {**DOCUMENT["students"], "layers": [{"kind": "Dropsy"}]}
    with pytest.raises(InputError, match=r"students\.layers\.0\.kind: 'Dropsy' is unknown; known: Linear"):
        run_experiment(experiment(students=wrong), tmp_path / "c")


def test_another_teacher_is_an_onnx_file(tmp_path: Path) -> None:
    teacher = Path(__file__).parents[2] / "examples" / "digits" / "teacher.onnx"
    students = {**DOCUMENT["students"], "loss": {}}
    made = run_experiment(
        experiment(
            teacher={"onnx": str(teacher)}, partition={}, students=students, joint=None, quantisation={}
        ),
        tmp_path,
    )
    assert [len(part) for part in made.parts] == [32, 32]
    x = np.random.default_rng(0).random((7, 1, 8, 8), dtype=np.float32)
    session = onnxruntime.InferenceSession(teacher)
    (wanted,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(made.teacher(torch.from_numpy(x)).numpy(), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match=r"partition\.decorrelate needs a teacher that can be trained"):
        experiment(teacher={"onnx": str(teacher)})


TINY = """
name = "tiny"
threads = 1
data = {source = "digits", validation = 40, train_samples = 100}
teacher = {architecture = "mlp", width = 8, features = 8, schedule = {epochs = 1}}

[students]
count = 2
timesteps = 2
schedule = {epochs = 1}
layers = [{kind = "Flatten"}, {kind = "Linear", out = 8}, {kind = "LIFBoxCell"}, {kind = "Linear"},
  {kind = "LIBoxCell"}]
"""


def test_the_command_writes_a_model_that_the_compiler_takes(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(TINY)
    done = command("train", str(path), "--out", str(tmp_path / "out"), name="sne")
    assert done.status == 0, done.stderr
    assert "student1 1/1" in done.stderr
    for name in ("model.pt", "teacher.onnx", "training.jsonl", "report.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    ensemble = sne.load(tmp_path / "out" / "model.pt")
    assert ensemble.provenance["features"] == [4, 4]
    again = command("train", str(path), "--out", str(tmp_path / "out"), name="sne")
    assert again.status == 0, again.stderr
    assert "student1" not in again.stderr
