"""Another's teacher, from an ONNX file: the features before its last linear map, and that map.

Both are found, and the features computed, in a child process: see :mod:`sne_deploy.teacher.process`.
"""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.teacher.onnx_model import read_onnx
from sne_deploy.teacher.process import TeacherProcess


class OnnxFeatures(nn.Module):
    """Features of an ONNX graph, computed by onnxruntime on the CPU; nothing in it can be trained."""

    def __init__(self, process: TeacherProcess) -> None:
        super().__init__()
        self._process = process
        weakref.finalize(self, process.close)

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (N, F) of samples of shape (N, ...), on their device."""
        samples = x.numpy(force=True)
        self._process.check(samples)
        return torch.from_numpy(np.asarray(self._process.rows(samples), np.float32)).to(x.device)


def load_onnx_teacher(path: Path) -> Teacher:
    """Read a teacher that ends in a linear map.

    It has one input [batch, ...], and one output [batch, classes] or one of them named ``logits``.

    Raises
    ------
    TeacherError
        The file cannot be used, or its logits do not come from a linear map with constant weights.
    """
    process = TeacherProcess(read_onnx(path), path.name)
    features = OnnxFeatures(process)
    weight, bias = process.cut()
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(weight))
        classifier.bias.copy_(torch.from_numpy(bias))
    teacher = Teacher(features, classifier)
    return teacher.requires_grad_(False).eval()
