"""Series in experiments: trained for their own steps, deployed as they were trained, and refused by name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy.distill.data.splits import Splits, load_splits
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.run import Distilled, run_experiment
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.frontend.norse.build import module_from_layers

T = 6
SCHEDULE = {"epochs": 3, "batch_size": 16, "learning_rate": 1e-2}
CURRENT: dict[str, Any] = {
    "name": "current",
    "threads": 1,
    "data": {"source": "npz", "validation": 20, "input": "current", "input_range": [-2.0, 2.0]},
    "teacher": {"architecture": "tcn", "width": 6, "features": 6, "schedule": SCHEDULE},
    "partition": {"decorrelate": 0.5, "decorrelate_epochs": 1},
    "students": {
        "count": 2,
        "timesteps": T,
        "layers": [
            {"kind": "Linear", "out": 7, "bias": False},
            {"kind": "BatchNorm1d"},
            {"kind": "LIFBoxCell", "v_th": 0.2},
            {"kind": "LIFRecurrentCell", "out": 6, "v_th": 0.2},
            {"kind": "Linear", "out": 6},
            {"kind": "LIFCell", "v_th": 0.1, "tau_syn_s": 4e-3},
            {"kind": "Linear"},
            {"kind": "LIBoxCell"},
        ],
        "loss": {"cross_entropy": 0.5, "logits": 0.5, "synops": 0.1},
        "schedule": SCHEDULE,
    },
    "joint": {"schedule": SCHEDULE, "dropout": "order"},
    "quantisation": {"epochs": 1, "weight_bits": 5},
    "policy": {"kind": "gate", "accuracy_drop": 0.1, "gate": {"hidden": 4, "epochs": 2}},
}
SPIKES: dict[str, Any] = {
    "name": "spikes",
    "threads": 1,
    "data": {"source": "npz", "validation": 20, "input": "spikes"},
    "teacher": {"architecture": "mlp", "width": 8, "features": 6, "schedule": SCHEDULE},
    "students": {
        "count": 2,
        "timesteps": T,
        "readout": "v_max",
        "layers": [
            {"kind": "Conv1d", "out": 3, "kernel": 3, "padding": 1},
            {"kind": "LIFBoxCell", "v_th": 0.1},
            {"kind": "Flatten"},
            {"kind": "Linear"},
            {"kind": "LICell"},
        ],
        "schedule": SCHEDULE,
    },
    "quantisation": {"epochs": 1},
    "policy": {"kind": "confidence", "accuracy_drop": 0.1},
}
BOTH = {"current": CURRENT, "spikes": SPIKES}


@lru_cache
def samples(kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes: which channels are loud; the values after a sample's end are noise, not to be heard."""
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 3
    if kind == "current":
        x = rng.uniform(-0.8, 0.8, (60, T, 4)) + np.eye(3, 4)[y][:, None]
        return x.astype(np.float32), y, rng.integers(2, T + 1, 60)
    loud = np.repeat(np.eye(3, 4)[y], 2, axis=1).reshape(60, 1, 2, 4)
    return (rng.random((60, T, 2, 4)) < 0.2 + 0.6 * loud).astype(np.uint8), y, rng.integers(2, T + 1, 60)


def written(folder: Path, kind: str, **train: Any) -> dict[str, Any]:
    """The description, with its data in a folder."""
    for split, seed in (("train", 0), ("test", 1)):
        x, y, lengths = samples(kind, seed)
        arrays = {"x": x, "y": y, "lengths": lengths, **(train if split == "train" else {})}
        kept = {name: value for name, value in arrays.items() if value is not None}
        np.savez(folder / f"{split}.npz", **kept)
    return {**BOTH[kind], "data": {**BOTH[kind]["data"], "folder": str(folder)}}


@pytest.fixture(scope="module", params=sorted(BOTH))
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp(request.param)
    described = written(folder, request.param)
    sne.train(described, folder / "out")
    return request.param, described, folder / "out"


def splits(described: dict[str, Any]) -> Splits:
    return load_splits(parse_experiment(described).data, 0, timesteps=T)


def test_it_is_deployed_as_it_was_trained(trained: tuple[str, dict[str, Any], Path]) -> None:
    """norse in float64, each sample for its own steps, gives what the training's own simulation gives."""
    kind, described, out = trained
    ensemble = sne.load(out / "model.pt")
    x, y, lengths = samples(kind, 1)
    with sne.compile(ensemble, "norse", policy=sne.ActivationPolicy()) as compiled:
        students = compiled.run(x, y, lengths=lengths).students
    given = torch.from_numpy(x.astype(np.float32))
    for student, done in zip(ensemble.students, students, strict=True):
        network = module_from_layers(student.network).eval()
        with torch.no_grad():
            wanted = simulate(network, given, T, student.readout, torch.from_numpy(lengths)).outputs.numpy()
        alike = np.isclose(done.outputs, wanted, rtol=1e-4, atol=1e-5).all(axis=1)
        assert alike.sum() >= len(x) - 1  # a membrane may lie within a rounding of its threshold
    assert parse_experiment(described).data.encoder == ensemble.encoder


def test_lava_verifies_and_the_policy_is_what_was_fitted(trained: tuple[str, dict[str, Any], Path]) -> None:
    _, described, out = trained
    ensemble, data = sne.load(out / "model.pt"), splits(described)
    assert data.validation_lengths is not None
    with sne.compile(
        ensemble, "loihi", fidelity=False, weight_bits=described["quantisation"].get("weight_bits", 8)
    ) as compiled:
        result = compiled.run(
            data.x_validation.numpy(),
            data.y_validation,
            lengths=data.validation_lengths.numpy(),
            verify=1,
        )
    assert result.report.verified is not None
    assert result.report.verified.differing_bits == 0
    fitted = ensemble.provenance
    assert result.accuracy == pytest.approx(fitted["policy_validation_accuracy"], rel=1e-12)
    students = result.report.ensemble.mean_active_students
    assert students == pytest.approx(fitted["policy_mean_students"], rel=1e-12)


def test_the_same_seed_gives_the_same_bits_and_joules_of_a_gate(
    trained: tuple[str, dict[str, Any], Path], tmp_path: Path
) -> None:
    _, described, out = trained
    again: Distilled = run_experiment(parse_experiment(described), tmp_path)
    first = sne.load(out / "model.pt")
    for one, other in zip(first.students, again.ensemble.students, strict=True):
        for layer, same in zip(one.network, other.network, strict=True):
            for name, tensor in layer.tensors.items():
                np.testing.assert_array_equal(tensor, same.tensors[name])
    data = splits(described)
    assert data.validation_lengths is not None
    assert again.fitted is not None
    with sne.compile(
        again.ensemble, "loihi", fidelity=False, weight_bits=described["quantisation"].get("weight_bits", 8)
    ) as compiled:
        lengths = data.validation_lengths.numpy()
        report = compiled.run(data.x_validation.numpy(), data.y_validation, lengths=lengths).report
    # Once placed, what a recurrent layer sends to its own core is a message more.
    assert report.ensemble.energy_per_sample_j.total == pytest.approx(again.fitted.energy_j, rel=1e-3)


def test_the_report_is_of_own_steps_with_the_teacher_s_macs(
    trained: tuple[str, dict[str, Any], Path],
) -> None:
    kind, _, out = trained
    _, _, lengths = samples(kind, 1)
    text = (out / "report.json").read_text()
    assert f"samples last {lengths.min()} to {lengths.max()} of {T} steps" in text
    assert '"uncounted":[]' in text.replace(" ", "")
