"""A teacher that is not trained here: a torch module given in Python, or an ONNX file."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sne_deploy.distill.data.given import Array, digest_of
from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.distill.teacher.onnx_teacher import load_onnx_teacher
from sne_deploy.errors import InputError
from sne_deploy.teacher.onnx_model import read_onnx
from sne_deploy.teacher.run import evaluate_teacher

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.schema.teacher import TeacherModel


def digest_of_module(module: nn.Module) -> str:
    """A digest of a module's structure, parameters and buffers, stored with it or not, and plain attributes.

    What its ``forward`` does with them is not in it.
    """
    texts: list[Array | str] = [str(module)]
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        texts += [name, value.detach().cpu().float().numpy()]
    for name, part in module.named_modules():
        for key, value in sorted(vars(part).items()):
            if isinstance(value, torch.Tensor):
                texts += [f"{name}.{key}", value.detach().cpu().float().numpy()]
            elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                texts += [f"{name}.{key}", value]
            elif not key.startswith("_") and key != "training" and _plain(value):
                texts.append(f"{name}.{key}={value!r}")
    return digest_of(texts)


def _plain(value: object) -> bool:
    """A number, a text, or a tuple or list of these."""
    if isinstance(value, (tuple, list)):
        return all(map(_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def teacher_of_module(module: nn.Module, x: Tensor) -> Teacher:
    """Split a module into the features before its last linear layer and that layer.

    Parameters
    ----------
    module : nn.Module
        A :class:`sne_deploy.distill.teacher.Teacher`, or one whose last module is ``nn.Linear`` and gives its
        output. It is copied, never changed.
    x : float32 tensor of shape (N, *input_shape)
        A few samples, to try the split on.

    Raises
    ------
    InputError
        The module does not run on these samples, or does not end in a linear layer.
    """
    try:
        own = copy.deepcopy(module).cpu().float().eval()
    except Exception as error:  # whatever a module of the caller's may raise
        raise InputError(
            f"teacher: cannot be copied ({type(error).__name__}); for torch.nn.utils.weight_norm take "
            "torch.nn.utils.parametrizations.weight_norm, or give an ONNX file"
        ) from error
    try:
        with torch.no_grad():
            wanted = own(x)
            teacher = own if isinstance(own, Teacher) else _split(own)
            features = teacher.features(x)
            found = teacher.classifier(features)
    except InputError:
        raise
    except Exception as error:  # whatever a module of the caller's may raise
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"teacher: does not run on samples of shape {tuple(x.shape[1:])}: {reason}"
        ) from error
    size = teacher.classifier.in_features
    right = features.shape == (len(x), size) and found.shape == wanted.shape
    if not right or not torch.allclose(found, wanted, 1e-4, 1e-5):
        raise InputError(
            f"teacher: its last module, a Linear of {size} features, does not give its output; give a "
            "sne_deploy.distill.teacher.Teacher(features, classifier)"
        )
    return teacher


def _split(module: nn.Module) -> Teacher:
    """The module with its last linear layer replaced by nothing, and that layer."""
    leaves = [name for name, part in module.named_modules() if name and not list(part.children())]
    last = module.get_submodule(leaves[-1]) if leaves else module
    if not isinstance(last, nn.Linear) or not leaves:
        raise InputError(
            f"teacher: its last module is {type(last).__name__}, not Linear; students learn the features "
            "before a last linear layer: give a sne_deploy.distill.teacher.Teacher(features, classifier)"
        )
    path, _, name = leaves[-1].rpartition(".")
    setattr(module.get_submodule(path), name, nn.Identity())
    return Teacher(module, last).eval()


def teacher_of(
    described: TeacherModel, module: nn.Module | None, x: Tensor, classes: int
) -> tuple[Teacher | None, str]:
    """The teacher that is not trained here, and a digest of it; None and "" where it is.

    A ``module`` is given in Python. It is tried on a few samples ``x``, and must have the ``classes`` of the
    labels.

    Raises
    ------
    InputError
        It is missing, damaged, cannot be divided into features and a linear map, or does not fit the samples.
    """
    if described.architecture == "module":
        if module is None:
            raise InputError(
                "teacher.architecture 'module': it is given in Python, as teacher= of sne_deploy.train"
            )
        made = teacher_of_module(module, x)
        _check_classes("teacher", made, classes)
        return made, digest_of_module(module)
    if described.onnx is None:
        return None, ""
    path = Path(described.onnx)
    teacher = load_onnx_teacher(path)
    evaluate_teacher(path, x.numpy(), None)
    _check_classes(f"teacher {path.name!r}", teacher, classes)
    return teacher, hashlib.sha256(read_onnx(path)).hexdigest()


def _check_classes(name: str, teacher: Teacher, classes: int) -> None:
    if classes > teacher.classifier.out_features:
        raise InputError(
            f"{name} has {teacher.classifier.out_features} classes, but the labels go up to {classes - 1}; "
            "use the data that it was trained on"
        )
