"""Weights of 16 bits: what is stored is what is run, bit for bit, and its operations are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from experiments.half_teacher import main
from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.run import train_own_teacher
from sne_deploy.distill.schema.teacher import TeacherModel
from sne_deploy.distill.stages import Stages
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.teacher.half import half_teacher, halve_onnx
from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
from sne_deploy.distill.teacher.onnx_teacher import load_onnx_teacher
from sne_deploy.errors import InputError, RunError
from sne_deploy.files import ensure_folder
from sne_deploy.teacher.half import half_precision, without_spare_bits
from sne_deploy.teacher.onnx_model import TeacherError
from sne_deploy.teacher.process import TeacherProcess
from sne_deploy.teacher.run import count_network, evaluate_teacher
from tests.distill.test_run import DOCUMENT

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    """A small ResNet-9 whose batch norms have seen images."""
    torch.manual_seed(0)
    made = teacher_network(TeacherModel(architecture="resnet9", width=4, features=16), SHAPE, 10)
    with torch.no_grad():
        for _ in range(3):
            made(torch.rand(32, *SHAPE))
    return made.eval()


@pytest.fixture(scope="module")
def files(teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The teacher with 32 bits; with 16; with the latter's values in 32 bits."""
    folder = tmp_path_factory.mktemp("half")
    full, half, wide = (folder / f"{name}.onnx" for name in ("full", "half", "wide"))
    save_teacher_onnx(teacher, full, SHAPE)
    save_teacher_onnx(half_teacher(teacher), half, SHAPE)
    model = onnx.load(half)
    for node in [node for node in model.graph.node if node.op_type == "Cast"]:
        (stored,) = (one for one in model.graph.initializer if one.name == node.input[0])
        values = onnx.numpy_helper.to_array(stored)
        assert values.dtype == np.float16
        stored.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    onnx.save(model, wide)
    return full, half, wide


def logits(path: Path, x: Any) -> Any:
    with TeacherProcess(path.read_bytes(), path.name) as process:
        process.check(x)
        return process.rows(x)


def test_the_file_computes_what_its_values_compute_in_32_bits(files: tuple[Path, Path, Path]) -> None:
    _, half, wide = files
    x = np.random.default_rng(0).random((70, *SHAPE), np.float32)
    np.testing.assert_array_equal(logits(half, x), logits(wide, x))
    assert onnx.load(half).SerializeToString() == without_spare_bits(onnx.load(half)).SerializeToString()
    restored = without_spare_bits(onnx.load(wide)).graph
    assert {one.name for one in restored.initializer} == {
        one.name for one in onnx.load(half).graph.initializer
    }


def test_half_the_size_and_the_same_operations(files: tuple[Path, Path, Path]) -> None:
    full, half, wide = files
    assert count_network(half) == count_network(full) == count_network(wide)
    large = [one for one in onnx.load(half).graph.initializer if len(one.dims) > 1]
    assert all(one.data_type == onnx.TensorProto.FLOAT16 for one in large)
    assert len(large) == 10  # eight convolutions, two linear maps
    assert half.stat().st_size < 0.62 * full.stat().st_size  # names and vectors stay


def test_students_learn_from_the_stored_network(teacher: Teacher, files: tuple[Path, Path, Path]) -> None:
    """Torch's copy and the file's cut at the features differ by the order of sums alone."""
    rounded, read = half_teacher(teacher), load_onnx_teacher(files[1])
    x = torch.rand(16, *SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(read(x), rounded(x), rtol=1e-5, atol=1e-6)
        assert not torch.equal(teacher(x), rounded(x))
        torch.testing.assert_close(teacher(x), rounded(x), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(read.classifier.weight, rounded.classifier.weight, rtol=0, atol=0)
    assert all(torch.equal(one, one.half().float()) for one in rounded.parameters() if one.ndim > 1), (
        "values have 16 bits"
    )


def test_a_file_is_converted_and_measured(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    full, _, _ = files
    x = np.random.default_rng(1).random((64, *SHAPE), np.float32)
    y = np.random.default_rng(2).integers(0, 10, 64)
    made = tmp_path / "made.onnx"
    found = halve_onnx(full, made, x, y)
    theirs, ours = (evaluate_teacher(path, x, y).accuracy for path in (full, made))
    assert (found.accuracy_before, found.accuracy_after, found.samples) == (theirs, ours, 64)
    assert found.agreement == np.mean(logits(full, x).argmax(1) == logits(made, x).argmax(1))
    assert (found.bytes_before, found.bytes_after) == (full.stat().st_size, made.stat().st_size)
    with pytest.raises(TeacherError, match="no matrix of float32 weights"):
        halve_onnx(made, made, x, y)


def test_the_command_measures_on_validation_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = tmp_path / "tiny.toml"
    described.write_text(
        "name = 'tiny'\n[data]\nsource = 'digits'\nvalidation = 60\n[teacher]\narchitecture = 'mlp'\n"
        "[students]\ncount = 1\ntimesteps = 1\nlayers = [{kind = 'Linear'}, {kind = 'LIBoxCell'}]\n"
    )
    torch.manual_seed(0)
    mlp = teacher_network(TeacherModel(architecture="mlp", width=8, features=8), (1, 8, 8), 10)
    save_teacher_onnx(mlp, tmp_path / "in.onnx", (1, 8, 8))
    arguments = [str(described), str(tmp_path / "in.onnx"), str(tmp_path / "out.onnx")]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 60
    assert main([arguments[0], arguments[2], arguments[2]]) == 2
    assert capsys.readouterr().err.startswith("error: teacher 'out.onnx' has no matrix")


def test_what_16_bits_cannot_hold_is_refused(files: tuple[Path, Path, Path]) -> None:
    model = onnx.load(files[0])
    weight = next(one for one in model.graph.initializer if len(one.dims) == 4)
    values = onnx.numpy_helper.to_array(weight) * np.float32(1e7)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    with pytest.raises(TeacherError, match="more than the 65504 of 16 bits; keep it in 32 bits"):
        half_precision(model, "t.onnx")
    assert without_spare_bits(model) == model
    large = Teacher(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        large.classifier.weight.fill_(1e6)
    with pytest.raises(RunError, match=r"weight classifier\.weight is beyond 65504"):
        half_teacher(large)


def test_an_experiment_trains_such_a_teacher(tmp_path: Path) -> None:
    def trained(weights: str) -> Teacher:
        described = parse_experiment(
            {**DOCUMENT, "partition": {}, "teacher": {**DOCUMENT["teacher"], "weights": weights}}
        )
        data = load_splits(described.data, described.seed)
        return train_own_teacher(Stages(described, ensure_folder(tmp_path)), data)

    full, half = trained("float32"), trained("float16")
    ours, wanted = half.state_dict(), half_teacher(full).state_dict()
    assert ours.keys() == wanted.keys()
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"teacher": {"onnx": "t.onnx", "weights": "float16"}}, "of a teacher that is trained here"),
        (
            {"teacher": {**DOCUMENT["teacher"], "weights": "float16"}},
            r"partition\.decorrelate trains a teacher further.*set teacher\.weights to 'float32'",
        ),
    ],
)
def test_where_it_does_not_fit_it_is_refused(changes: dict[str, Any], place: str) -> None:
    document = {**DOCUMENT, **changes}
    if "onnx" in document["teacher"]:
        document["partition"] = {"strategy": "correlation"}
    with pytest.raises(InputError, match=place):
        parse_experiment(document)
