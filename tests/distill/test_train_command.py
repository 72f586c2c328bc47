"""``sne train`` as a user meets it: options, kills, Ctrl-C, and one line for whatever is wrong."""

from __future__ import annotations

import csv
import json
import pickle
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import sne_deploy as sne
from sne_deploy.distill.training.journal import Journal
from sne_deploy.distill.training.origin import read_trained
from tests.command_line import Outcome, command, file_limit

EXAMPLE_TEACHER = Path(__file__).parents[2] / "examples" / "digits" / "teacher.onnx"
DATA = "data = {source = 'digits', validation = 40, train_samples = 100}"
TEACHER = "teacher = {architecture = 'mlp', width = 8, features = 8, schedule = {epochs = 2}}"
LAYERS = (
    "[{kind = 'Flatten'}, {kind = 'Linear', out = 8}, {kind = 'LIFBoxCell'}, {kind = 'Linear'}, "
    "{kind = 'LIBoxCell'}]"
)
STUDENTS = f"""
[students]
count = 2
timesteps = 2
schedule = {{epochs = 2}}
layers = {LAYERS}
"""


def document(*, data: str = DATA, teacher: str = TEACHER, students: str = STUDENTS, top: str = "") -> str:
    return f"name = 'tiny'\nthreads = 1\n{top}\n{data}\n{teacher}\n{students}"


def written(folder: Path, text: str) -> Path:
    path = folder / "experiment.toml"
    path.write_text(text)
    return path


def train(folder: Path, text: str, *options: Any) -> Outcome:
    return command("train", written(folder, text), "--out", folder / "out", *options, name="sne")


def refused(done: Outcome, *parts: str, status: int = 2) -> None:
    assert done.status == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert "internal error" not in lines[0]
    for part in parts:
        assert part in lines[0]
    assert done.stdout == ""


# Kills


def start(experiment: Path, out: Path) -> subprocess.Popen[bytes]:
    program = "import sys; from sne_deploy.start import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, "train", str(experiment), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


LONGER = document(
    teacher=TEACHER.replace("epochs = 2", "epochs = 15"),
    students=STUDENTS.replace("epochs = 2", "epochs = 15") + "\n[quantisation]\nepochs = 3\n",
)


def without_seconds(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return [row[:-1] for row in csv.reader(stream)]


def test_kills_at_any_moment_change_no_bit(tmp_path: Path) -> None:
    experiment = written(tmp_path, LONGER)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert command("train", experiment, "--out", whole, name="sne").status == 0
    dice, lines = random.Random(5), 0
    for _ in range(3):
        process = start(experiment, killed)
        log = killed / "training.jsonl"
        while process.poll() is None and (not log.exists() or log.read_text().count("\n") <= lines):
            time.sleep(0.005)
        time.sleep(dice.random() * 0.4)
        process.kill()
        _, stderr = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), stderr
        lines = log.read_text().count("\n")
    assert command("train", experiment, "--out", killed, name="sne").status == 0
    for name in ("model.pt", "teacher.onnx", "training.jsonl"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert without_seconds(killed / "training.csv") == without_seconds(whole / "training.csv")
    found = [json.loads(line) for line in (killed / "training.jsonl").read_text().splitlines()]
    stages = {"teacher": 15, "student0": 15, "quantised0": 3, "student1": 15, "quantised1": 3}
    assert {name: stage.epochs for name, stage in read_trained(killed / "trained.json").items()} == stages
    assert [(line["stage"], line["epoch"]) for line in found] == [
        (stage, epoch) for stage, epochs in stages.items() for epoch in range(1, epochs + 1)
    ]


def test_a_kill_between_the_state_and_the_log_loses_no_line(tmp_path: Path) -> None:
    whole = train(tmp_path, document())
    assert whole.status == 0, whole.stderr
    wanted = (tmp_path / "out" / "training.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "out")
    for lost in (0, 1, 0):
        calls = iter([None] * lost)

        def epoch(self: Journal, *arguments: Any, calls: Any = calls, real: Any = Journal.epoch) -> None:
            if next(calls, KeyboardInterrupt) is KeyboardInterrupt:
                raise KeyboardInterrupt
            real(self, *arguments)

        with mock.patch.object(Journal, "epoch", epoch):
            assert train(tmp_path, document()).status == 130
    assert train(tmp_path, document()).status == 0
    assert (tmp_path / "out" / "training.jsonl").read_bytes() == wanted


def test_ctrl_c_says_how_to_go_on_and_it_does(tmp_path: Path) -> None:
    experiment = written(tmp_path, LONGER)
    process = start(experiment, tmp_path / "out")
    log = tmp_path / "out" / "training.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text()):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    *epochs, last = stderr.decode().strip().splitlines()
    assert last == "interrupted: the same command goes on after the last whole epoch"
    assert all(line.startswith(("teacher ", "student", "quantised")) for line in epochs)
    again = command("train", experiment, "--out", tmp_path / "out", name="sne")
    assert again.status == 0
    assert " goes on after epoch " in again.stderr.splitlines()[0]


# Options


def test_the_state_may_lie_in_another_folder_and_be_shared(tmp_path: Path) -> None:
    work = tmp_path / "states"
    assert train(tmp_path, document(), "--work", work).status == 0
    assert not (tmp_path / "out" / "work").exists()
    states = {path.name: path.stat().st_mtime_ns for path in work.iterdir()}
    assert any(name.startswith("teacher-") for name in states)
    shutil.rmtree(tmp_path / "out")
    assert train(tmp_path, document(), "--work", work).status == 0
    assert {path.name: path.stat().st_mtime_ns for path in work.iterdir()} == states


def test_teacher_seed_and_threads_replace_the_files(tmp_path: Path) -> None:
    own = TEACHER.replace("{", "{weights = 'float16', normalise = true, ", 1)
    changes = ("--teacher", EXAMPLE_TEACHER, "--seed", 3, "--threads", 1, "--device", "cpu")
    done = train(tmp_path, document(teacher=own), *changes)
    assert done.status == 0, done.stderr
    out = tmp_path / "out"
    assert (out / "teacher.onnx").read_bytes() == EXAMPLE_TEACHER.read_bytes()
    described = json.loads(sne.load(out / "model.pt").provenance["experiment"])
    assert described["seed"] == 3
    assert described["teacher"]["onnx"] == EXAMPLE_TEACHER.name  # no folder of this machine
    assert "architecture" not in described["teacher"]
    assert "teacher 1/" not in done.stderr
    moved = tmp_path / "moved.onnx"
    shutil.copy(EXAMPLE_TEACHER, moved)
    again = train(tmp_path, document(), "--teacher", moved, "--seed", 3, "--threads", 1)
    assert again.status == 0
    assert again.stderr.splitlines()[:-1] == []  # the same teacher elsewhere: nothing is trained again


def test_another_teacher_of_the_same_name_is_another(tmp_path: Path) -> None:
    path = tmp_path / "teacher.onnx"
    for scale in (1.0, 2.0):
        path.write_bytes(linear_teacher(scale))
        done = train(tmp_path, document(), "--teacher", path)
        assert done.status == 0, done.stderr
        assert "student0 1/2" in done.stderr


def linear_teacher(scale: float = 1.0, classes: int = 10, inputs: int = 64) -> bytes:
    """Eight features of a few pixels, and a linear map."""
    random_state = np.random.default_rng(1)
    tensors = {
        "a": random_state.normal(size=(inputs, 8)).astype(np.float32) * np.float32(scale),
        "b": random_state.normal(size=(8, classes)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["f"]),
        helper.make_node("MatMul", ["f", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def test_help_names_every_option() -> None:
    done = command("train", "--help", name="sne")
    assert done.status == 0
    for option in ("--out", "--data-folder", "--teacher", "--device", "--seed", "--threads"):
        assert option in done.stdout


# Wrong input: the experiment


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"top": "colour = 3"}, ["colour: unknown key"]),
        ({"top": "device = 'cuda:7'"}, ["device 'cuda:7' cannot be used", "use cpu"]),
        ({"top": "device = 'toaster'"}, ["device 'toaster' cannot be used", "use cpu"]),
        ({"top": "device = 'meta'"}, ["device 'meta' cannot be used", "use cpu"]),
        ({"data": "data = 3"}, ["data: "]),
        ({"data": "data = {source = 'mnist'}"}, ["data.folder is missing"]),
        ({"data": "data = {source = 'arrays'}"}, ["data.source 'arrays'", "sne_deploy.train"]),
        ({"data": "data = {source = 'digits', validation = 5000}"}, ["data.validation 5000", "lower it"]),
        ({"teacher": "teacher = {}"}, ["teacher: ", "architecture or onnx"]),
        ({"teacher": "teacher = {architecture = 'module'}"}, ["teacher.architecture 'module'", "in Python"]),
        ({"teacher": "teacher = {onnx = 'no.onnx'}"}, ["cannot read teacher '", "/no.onnx'"]),
        (
            {"students": STUDENTS.replace("count = 2", "count = 9")},
            ["students.count 9", "8 features", "1 to 8"],
        ),
        (
            {"students": STUDENTS.replace("LIFBoxCell", "Sigmoid")},
            ["students.layers.2.kind: 'Sigmoid' is unknown"],
        ),
        (
            {"students": STUDENTS.replace("{kind = 'Flatten'}, ", "")},
            [
                "students.layers.0 (Linear): takes a vector, but what comes in has shape (1, 8, 8)",
                "the layer {kind = 'Flatten'} is missing before it",
            ],
        ),
        (
            {"students": STUDENTS.replace("{kind = 'Linear'}, ", "{kind = 'Linear', out = 3}, ")},
            ["students.layers: the last one gives 3 values", "it has 4 to learn"],
        ),
        (
            {
                "students": STUDENTS.replace("{kind = 'Linear'}, ", "{kind = 'Linear', out = 3}, ")
                + "outputs = 'logits'\nloss = {feature = 0.0, cross_entropy = 1.0}"
            },
            ["gives 3 values", "it has 10 to learn"],
        ),
        ({"students": STUDENTS + "loss = {feature = 0.0}"}, ["students.loss: ", "feature"]),
        ({"top": "x = " + "[" * 50_000 + "]" * 50_000}, ["nested too deeply"]),
        (
            {"teacher": TEACHER.replace("width = 8", "width = 4000000000")},
            ["teacher.architecture 'mlp' of width 4"],
        ),
        ({"students": STUDENTS.replace("timesteps = 2", "timesteps = 4000000000")}, ["students: ", "memory"]),
        (
            {
                "teacher": TEACHER.replace("mlp", "resnet9").replace(
                    "epochs = 2", "epochs = 1, batch_size = 1"
                )
            },
            ["teacher.schedule.batch_size 1: batch norm needs", "use 2 or more"],
        ),
        (
            {
                "teacher": TEACHER.replace("epochs = 2", "epochs = 1, batch_size = 1"),
                "students": STUDENTS + "\n[partition]\ndecorrelate = 1.0",
            },
            ["partition.decorrelate: teacher.schedule.batch_size 1"],
        ),
        (
            {"students": STUDENTS.replace("'LIFBoxCell'", "'LIFBoxCell', v_th = -1.0")},
            ["v_th - v_reset = -1", "train with v_th above v_reset"],
        ),
        ({"students": STUDENTS + "readout = 'count'"}, ["students: ", "count"]),
        ({"students": STUDENTS + "readout = 'best'"}, ["students.readout: input should be"]),
        (
            {"students": STUDENTS.replace(LAYERS, "[{kind = 'Flatten'}, {kind = 'Linear'}]")},
            ["no neurons"],
        ),
        (
            {"students": STUDENTS + "\n[joint]\nschedule = {epochs = 1}\ncross_entropy = 0.0"},
            ["joint: ", "cross_entropy"],
        ),
    ],
)
def test_a_wrong_experiment_is_one_line(tmp_path: Path, change: dict[str, str], parts: list[str]) -> None:
    refused(train(tmp_path, document(**change)), *parts)
    assert not list((tmp_path / "out").glob("**/*.pt"))


def test_a_teacher_that_does_not_fit_the_images(tmp_path: Path) -> None:
    y = np.arange(30) % 2
    npz(tmp_path / "own" / "train.npz", x=np.zeros((30, 5, 5), np.float32), y=y)
    npz(tmp_path / "own" / "test.npz", x=np.zeros((30, 5, 5), np.float32), y=y)
    text = document(
        data="data = {source = 'npz', validation = 10}",
        teacher=TEACHER.replace("mlp", "resnet9"),
        students=STUDENTS,
    )
    done = train(tmp_path, text, "--data-folder", tmp_path / "own")
    refused(done, "teacher.architecture 'resnet9'", "does not fit samples of shape (1, 5, 5)")


def test_out_of_memory_says_what_to_lower(tmp_path: Path) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nSee more")

    with mock.patch("sne_deploy.distill.training.loop._Run.step", full):
        refused(
            train(tmp_path, document()),
            "out of memory: CUDA out of memory",
            "lower teacher.schedule.batch_size 128",
            status=1,
        )


def test_no_file_and_a_table_that_is_none(tmp_path: Path) -> None:
    refused(
        command("train", tmp_path / "no.toml", "--out", tmp_path / "out", name="sne"),
        "no.toml: cannot be read",
    )
    refused(train(tmp_path, document(data="data = 3"), "--data-folder", "x"), "data: must be a table")


def test_a_teacher_that_diverges_says_which_rate_to_lower(tmp_path: Path) -> None:
    wild = TEACHER.replace("{epochs = 2}", "{epochs = 9, learning_rate = 1e30, optimizer = 'sgd'}")
    done = train(tmp_path, document(teacher=wild))
    assert done.status == 1
    *epochs, last = done.stderr.splitlines()
    assert all(line.startswith("teacher ") for line in epochs)
    assert last.startswith("error: training diverged: ")
    assert last.endswith("; lower teacher.schedule.learning_rate 1e+30")


# Wrong input: the output


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = written(tmp_path, document())
    refused(
        command("train", path, "--out", tmp_path / "file", name="sne"), "cannot write output folder", "--out"
    )
    refused(
        command("train", path, "--out", tmp_path / "file" / "x", name="sne"), "cannot write output folder"
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "work").write_text("")
    refused(
        command("train", path, "--out", tmp_path / "out", name="sne"), "work", "cannot write output folder"
    )
    refused(
        command("train", path, "--out", "/proc/nothing", name="sne"),
        "cannot write output folder /proc/nothing",
    )


def test_a_full_disk_is_one_line_and_the_training_goes_on(tmp_path: Path) -> None:
    with file_limit(5000):
        refused(train(tmp_path, document()), "cannot write", "teacher-", "File too large", "raise the limit")
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert train(tmp_path, document()).status == 0


# Wrong input: the data


def idx(values: np.ndarray, magic: int | None = None) -> bytes:
    kind = 0x0800 + values.ndim if magic is None else magic
    return struct.pack(f">I{values.ndim}I", kind, *values.shape) + values.astype(np.uint8).tobytes()


def mnist(folder: Path) -> Path:
    """A folder with 60 training and 20 test images."""
    folder.mkdir()
    for prefix, count in (("train", 60), ("t10k", 20)):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(np.zeros((count, 28, 28))))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    return folder


MNIST = document(data="data = {source = 'mnist', validation = 10}")


@pytest.mark.parametrize("prefix", ["train", "t10k"])
@pytest.mark.parametrize(
    ("kind", "content", "parts"),
    [
        ("images-idx3", idx(np.zeros((60, 28, 28)))[:-5], ["fewer bytes than"]),
        ("images-idx3", idx(np.zeros((60, 28, 28)), magic=0x0D03), ["not an IDX file"]),
        ("images-idx3", idx(np.zeros((7, 28, 28))), ["7 ", "labels"]),
        ("images-idx3", idx(np.zeros((60, 5, 5)))[:20], ["fewer bytes than"]),
        ("labels-idx1", b"", ["not an IDX file"]),
        ("labels-idx1", b"\x1f\x8b" + bytes(30), ["cannot read"]),
        ("labels-idx1", None, ["has no", "labels-idx1-ubyte"]),
    ],
)
def test_damaged_idx_files_are_named_before_training(
    tmp_path: Path, prefix: str, kind: str, content: bytes | None, parts: list[str]
) -> None:
    folder = mnist(tmp_path / "mnist")
    path = folder / f"{prefix}-{kind}-ubyte"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    refused(train(tmp_path, MNIST, "--data-folder", folder), str(folder), *parts)
    assert not (tmp_path / "out" / "work").exists()


def test_images_of_another_size_and_stray_labels(tmp_path: Path) -> None:
    folder = mnist(tmp_path / "mnist")
    (folder / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((60, 14, 14))))
    refused(
        train(tmp_path, MNIST, "--data-folder", folder), "samples have shape (1, 14, 14), the model takes"
    )
    (folder / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((60, 28, 28))))
    labels = np.arange(60) % 10
    labels[5] = 200
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    refused(
        train(tmp_path, MNIST, "--data-folder", folder), "labels go up to 200, but no sample has label 10"
    )
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(60) % 8))
    refused(train(tmp_path, MNIST, "--data-folder", folder), "label 9, but training sees none above 7")
    refused(train(tmp_path, MNIST, "--data-folder", tmp_path / "none"), "none has no train-images")


class Hostile:
    """A pickle that would run a command."""

    def __reduce__(self) -> Any:
        return (subprocess.getoutput, ("touch /tmp/it-was-run",))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (pickle.dumps(Hostile()), ["refused: it names", "it was not run"]),
        (pickle.dumps({b"data": 3, b"labels": []}), ["no data and labels in it"]),
        (b"\x80\x04", ["not a CIFAR-10 batch"]),
        (
            pickle.dumps({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2]}, 2),
            ["3 labels for 4 images"],
        ),
        (
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}, 2),
            ["each must be 0 to 9"],
        ),
        (pickle.dumps({b"data": np.zeros((2, 3000), np.uint8), b"labels": [0, 1]}, 2), ["must be (N, 3072)"]),
    ],
)
def test_hostile_and_damaged_cifar_batches(tmp_path: Path, content: bytes, parts: list[str]) -> None:
    folder = tmp_path / "cifar"
    folder.mkdir()
    for index in range(1, 6):
        (folder / f"data_batch_{index}").write_bytes(content)
    text = document(data="data = {source = 'cifar10', validation = 10}")
    refused(train(tmp_path, text, "--data-folder", folder), "data_batch_1", *parts)


def npz(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # NumPy's stubs take allow_pickle here


def test_data_of_ones_own_in_npz_files(tmp_path: Path) -> None:
    folder, dice = tmp_path / "own", np.random.default_rng(0)
    y = np.arange(60) % 3
    x = np.clip(dice.random((60, 4, 5)) * 0.3 + y[:, None, None] / 3, 0, 1).astype(np.float32)
    npz(folder / "train.npz", x=x, y=y)
    text = document(data="data = {source = 'npz', validation = 10, augment = 'shift'}")
    refused(train(tmp_path, text, "--data-folder", folder), "test.npz", "cannot read")
    npz(folder / "test.npz", x=x[:20], y=y[:20])
    done = train(tmp_path, text, "--data-folder", folder)
    assert done.status == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["data"]["name"].endswith("own/test.npz")
    assert report["data"]["samples"] == 20
    assert sne.load(tmp_path / "out" / "model.pt").input_shape == (1, 4, 5)
    npz(folder / "train.npz", x=x[::-1], y=y[::-1])  # other data of the same name trains anew
    assert "teacher 1/2" in train(tmp_path, text, "--data-folder", folder).stderr
    for wrong, part in (
        ({"x": x * 300, "y": y}, "leave the model's input range"),
        ({"x": x}, "has no labels y"),
        ({"x": x[:, :, :, None, None], "y": y}, "give (N, channels, height, width)"),
        ({"x": x, "y": y * 2}, "no sample has label 1"),
        ({"x": x, "y": y - 1}, "labels from -1"),
        ({"y": y}, "has no array x"),
        ({"x": x[:20], "y": y}, "one label per sample"),
    ):
        npz(folder / "train.npz", **wrong)  # type: ignore[arg-type]  # arrays by name
        refused(train(tmp_path, text, "--data-folder", folder), "train.npz", part)


# Wrong input: the teacher


def test_teachers_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "given.onnx"
    path.write_bytes(linear_teacher(inputs=63))
    refused(
        train(tmp_path, document(), "--teacher", path),
        "given.onnx",
        "does not fit samples of shape (1, 8, 8)",
    )
    path.write_bytes(linear_teacher(classes=4))
    refused(
        train(tmp_path, document(), "--teacher", path), "given.onnx", "has 4 classes", "labels go up to 9"
    )
    path.write_bytes(linear_teacher(scale=float("nan")))
    refused(train(tmp_path, document(), "--teacher", path), "given.onnx", "is not finite")
    path.write_bytes(linear_teacher(scale=0.0))
    refused(train(tmp_path, document(), "--teacher", path), "features do not vary")
    path.write_bytes(b"no onnx")
    refused(train(tmp_path, document(), "--teacher", path), "given.onnx", "is not an ONNX model")
    apart = document(students=STUDENTS + "\n[partition]\ndecorrelate = 1.0")
    refused(
        train(tmp_path, apart, "--teacher", path), "partition.decorrelate needs a teacher that can be trained"
    )
