"""What Python reads of a file, without the command around it: for each kind a function of the path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Reader = Callable[[Path], object]


def readers() -> dict[str, tuple[str, Reader]]:
    """By kind: the file's name, and what reads it; importing all that takes."""
    import sne_deploy as sne
    from sne_deploy.chips.chip import load_chip
    from sne_deploy.data.cifar10 import read_batch
    from sne_deploy.data.mnist import read_idx
    from sne_deploy.data.npy import load_npy
    from sne_deploy.data.npz import load_npz
    from sne_deploy.distill.experiment import load_experiment
    from sne_deploy.distill.teacher.onnx_teacher import load_onnx_teacher
    from sne_deploy.distill.training.origin import read_trained
    from sne_deploy.distill.training.resume import ResumePoint, kept_tensor
    from sne_deploy.energy.processor import find_processors
    from sne_deploy.energy.validation.case import read_case
    from sne_deploy.model.checkpoint import load_checkpoint
    from sne_deploy.page.details.model import load_details
    from sne_deploy.report.file import load_report
    from sne_deploy.report.predictions import load_predictions
    from tests.torture.files import kept
    from tests.torture.files.learned import read_learned

    return {
        "model.pt": ("m.pt", load_checkpoint),
        ".sne": ("m.sne", lambda path: sne.load_compiled(path, "loihi").__exit__(None, None, None)),
        "report.json": ("report.json", load_report),
        "details.json": ("details.json", load_details),
        "predictions.npz": ("predictions.npz", load_predictions),
        "chip.toml": ("chip.toml", load_chip),
        ".npz": ("x.npz", lambda path: load_npz("test", path)),
        ".npy": ("x.npy", lambda path: load_npy("test", path)),
        "MNIST": ("t10k-images-idx3-ubyte", lambda path: read_idx(path, 3)),
        "CIFAR-10": ("test_batch", read_batch),
        "experiment.toml": ("e.toml", load_experiment),
        "processors.toml": ("p.toml", find_processors),
        "case.json": ("c.json", read_case),
        "kept state": ("s.pt", lambda path: ResumePoint(path, "f").restore(*new_training())),
        "kept tensor": ("t.pt", lambda path: kept_tensor(ResumePoint(path, "f"), _missing)),
        "trained.json": ("trained.json", read_trained),
        "data of a training": ("x.npz", read_learned),
        "teacher of a training": ("t.onnx", load_onnx_teacher),
        "made_with.json": ("made_with.json", kept.read_made_with),
        "kept samples": ("samples-0-3.npz", kept.read_samples),
        "kept rounds": ("rounds.npz", kept.read_rounds),
    }


def new_training() -> tuple[Any, Any]:
    """A network and its optimiser, whose state is kept."""
    import torch

    module = torch.nn.Linear(4, 3)
    return module, torch.optim.Adam(module.parameters())


def _missing() -> Any:
    raise AssertionError("the file is there")
