"""The teacher's ONNX file: same numbers as torch, same bytes each time, nothing of the machine in it."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
from sne_deploy.errors import OutputError


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(36, 8),
        nn.ReLU(),
    )
    return Teacher(features, nn.Linear(8, 10))


def test_runs_as_torch_does_with_any_batch(teacher, tmp_path):
    path = tmp_path / "teacher.onnx"
    save_teacher_onnx(teacher.eval(), path, (1, 8, 8))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for samples in (1, 5):
        x = torch.rand(samples, 1, 8, 8)
        (logits,) = session.run(["logits"], {"image": x.numpy()})
        np.testing.assert_allclose(logits, teacher(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_is_reproducible_self_contained_and_anonymous(teacher, tmp_path):
    for name in ("a.onnx", "b.onnx"):
        save_teacher_onnx(teacher, tmp_path / name, (1, 8, 8))
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]
    model = onnx.load_model_from_string(content)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b".py" not in content
    assert [value.name for value in model.graph.input] == ["image"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_leaves_a_teacher_in_training_as_it_was(teacher, tmp_path):
    teacher.train()
    save_teacher_onnx(teacher, tmp_path / "t.onnx", (1, 8, 8))
    assert teacher.training
    assert teacher.features.training


def test_a_missing_folder_is_one_line(teacher, tmp_path):
    with pytest.raises(OutputError, match="choose a folder that exists"):
        save_teacher_onnx(teacher, tmp_path / "missing" / "t.onnx", (1, 8, 8))
