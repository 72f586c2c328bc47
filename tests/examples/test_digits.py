"""The committed digits ensemble is what its README says, and its script makes such a thing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sne_deploy.data.digits import digits_split
from sne_deploy.distill.students.evaluate import accuracy, evaluate_student
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.model.checkpoint import load_checkpoint
from sne_deploy.model.layers.registry import LAYER_KINDS, check_stack
from sne_deploy.runtime.head import logits
from sne_deploy.teacher.run import evaluate_teacher

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def ensemble():
    return load_checkpoint(FOLDER / "model.pt")


@pytest.fixture(scope="module")
def figures(ensemble):
    """What each student does on the held-out images, in floating point."""
    x = torch.from_numpy(digits_split()[2]).reshape(-1, *ensemble.input_shape)
    return [
        evaluate_student(module_from_layers(student.network), x, ensemble.timesteps, student.readout)
        for student in ensemble.students
    ]


def kinds(student):
    return [layer.kind for layer in student.network]


def test_files_are_small():
    assert (FOLDER / "model.pt").stat().st_size < 2_000_000
    assert (FOLDER / "teacher.onnx").stat().st_size < 2_000_000


def test_students_are_of_every_sort(ensemble):
    by_name = {student.name: kinds(student) for student in ensemble.students}
    assert set(by_name) == {"conv", "dense", "current", "recurrent"}
    conv = by_name["conv"]
    assert conv.index("Conv2d") < conv.index("LIFBoxCell") < conv.index("AvgPool2d")
    assert "Conv2d" in conv[conv.index("AvgPool2d") :]
    assert "BatchNorm2d" in conv
    assert not {"Conv2d", "AvgPool2d"} & set(by_name["dense"])
    assert {"LIFCell", "LICell"} <= set(by_name["current"])
    assert "LIFRecurrentCell" in by_name["recurrent"]
    assert any(
        layer.tensors["v_reset"].any()
        for student in ensemble.students
        for layer in student.network
        if "v_reset" in layer.tensors
    )


def test_students_share_the_features_and_end_in_membranes(ensemble):
    slices = [student.features for student in ensemble.students]
    assert sorted(np.concatenate(slices).tolist()) == list(range(64))
    for student in ensemble.students:
        assert student.readout in ("v_mean", "v_last")
        assert not LAYER_KINDS[student.network[-1].kind].spiking
        assert check_stack(student.network, ensemble.input_shape) == (len(student.features),)
    assert ensemble.input_shape == (1, 8, 8)
    assert ensemble.encoder.kind == "constant"
    assert ensemble.policy.kind == "static"


def test_weights_have_no_outliers_that_would_stretch_the_quantiser(ensemble):
    for student in ensemble.students:
        for layer in student.network:
            for name, tensor in layer.tensors.items():
                if name.endswith(("weight", "weights")) and tensor.ndim > 1:
                    assert np.abs(tensor).max() < 9 * tensor.std(), (student.name, layer.kind, name)


def test_accuracy_held_out_in_floating_point(ensemble, figures):
    labels = digits_split()[3]
    assert len(labels) >= 450
    everyone = np.ones((len(labels), len(figures)), dtype=bool)
    reached = accuracy(logits(ensemble.head, [figure.outputs for figure in figures], everyone), labels)
    assert reached >= 0.95
    # the same but for what another processor's rounding may flip
    assert reached == pytest.approx(ensemble.provenance["float_accuracy"], abs=2.5 / len(labels))


def test_fewer_students_still_classify(ensemble, figures):
    labels = digits_split()[3]
    outputs = [figure.outputs for figure in figures]
    reached = []
    for count in (1, 2, 3):
        active = np.tile(np.arange(len(outputs)) < count, (len(labels), 1))
        reached.append(accuracy(logits(ensemble.head, outputs, active), labels))
    assert reached[0] >= 0.7
    assert reached == sorted(reached)


def test_rates_are_moderate(figures):
    rates = [rate for figure in figures for rate in figure.rates]
    assert len(rates) == 7
    assert all(0.02 <= rate <= 0.2 for rate in rates)


def test_teacher_is_the_one_in_the_provenance(ensemble):
    _, _, x, y = digits_split()
    judged = evaluate_teacher(FOLDER / "teacher.onnx", x.reshape(-1, 1, 8, 8), y)
    assert judged.accuracy >= 0.98
    assert judged.accuracy == pytest.approx(ensemble.provenance["teacher_accuracy"], abs=1.5 / len(y))
    assert judged.macs == ensemble.provenance["teacher_macs"]
    # 3x3 convolutions 1 -> 16 -> 32 on 8x8, then 512 -> 64 -> 10
    assert judged.macs == 64 * 9 * 16 + 64 * 9 * 16 * 32 + 512 * 64 + 64 * 10
    assert judged.uncounted == ()


def test_readme_names_the_command(ensemble):
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert ensemble.provenance["command"].split(" --epochs")[0] in readme
    assert "/work" not in str(dict(ensemble.provenance))


def train(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "train.py"), "--out", str(folder), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


TINY = ("--epochs", "1", "--teacher-epochs", "1", "--copies", "0", "--seed", "3")


def test_script_writes_the_same_loadable_files_twice(tmp_path):
    for name in ("first", "again"):
        done = train(tmp_path / name, *TINY)
        assert done.returncode == 0, done.stderr
        assert all(word in done.stdout for word in ("conv", "recurrent", "ensemble", "337,536 MACs"))
    for name in ("model.pt", "teacher.onnx"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    made = load_checkpoint(tmp_path / "first" / "model.pt")
    assert made.provenance["seed"] == 3
    assert made.provenance["command"].endswith("--seed 3 --epochs 1 --teacher-epochs 1 --copies 0")
    assert made.head.subset_bias.shape == (4, 10)


def test_script_refuses_a_folder_that_is_a_file_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = train(tmp_path / "file", *TINY)
    assert done.returncode == 2
    assert "cannot write output folder" in done.stderr
    assert "Traceback" not in done.stderr
