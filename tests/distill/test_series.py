"""Series in experiments: trained for their own steps, deployed as they were trained, and refused by name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from norse.torch import LIBoxCell
from torch import nn

import sne_deploy as sne
from sne_deploy.data.dataset import ModelInput, fit_to_model
from sne_deploy.distill.data.given import as_arrays
from sne_deploy.distill.data.splits import Splits, load_splits, load_test
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.run import Distilled, run_experiment
from sne_deploy.distill.schema.data import DataModel
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.schema.teacher import TeacherModel
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
from sne_deploy.errors import DataError, InputError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.teacher.run import evaluate_teacher

pytestmark = pytest.mark.usefixtures("warm_lava")

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


class Recurrent(nn.Module):
    """A GRU's last state, and a linear map of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(self.gru(x)[0][:, -1])
        return made


def test_a_gru_teaches_by_onnx_and_its_macs_are_counted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "gru.onnx"
    save_teacher_onnx(Recurrent().eval(), path, (T, 4))  # type: ignore[arg-type]  # any module is exported
    layers = [{"kind": "Linear", "out": 3}, {"kind": "LIFBoxCell"}, {"kind": "Linear"}, {"kind": "LIBoxCell"}]
    plain = {**CURRENT["students"], "layers": layers, "schedule": {"epochs": 1}, "loss": {}}
    described = {**written(tmp_path, "current"), "students": plain, "teacher": {"onnx": str(path)}}
    for stage in ("partition", "joint", "quantisation", "policy"):
        described.pop(stage)
    trained = sne.train(described, tmp_path / "out")
    teacher = trained.result.report.teacher
    assert teacher is not None
    assert teacher.macs == T * 3 * 5 * (4 + 5) + 5 * 3
    assert not teacher.uncounted
    assert sum(len(student.features) for student in trained.ensemble.students) == 5


def test_a_temporal_network_does_not_hear_the_zeros_behind_a_series(tmp_path: Path) -> None:
    torch.manual_seed(0)
    described = TeacherModel(architecture="tcn", width=5, features=7, dropout=0.5)
    teacher = teacher_network(described, (20, 2, 3), 4).eval()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.uniform_(-1, 1)
    x = torch.randn(6, 20, 2, 3)
    for row, length in enumerate((1, 3, 8, 13, 19, 20)):
        x[row, length:] = 0
    x[3, 5] = 0  # a silent step within a series belongs to it
    with torch.no_grad():
        wanted = teacher(x)
        for row, length in enumerate((1, 3, 8, 13, 19, 20)):
            torch.testing.assert_close(teacher(x[row : row + 1, :length])[0], wanted[row])
        assert not torch.allclose(teacher(x[3:4, :5])[0], wanted[3])
    save_teacher_onnx(teacher, tmp_path / "tcn.onnx", (20, 2, 3))
    found = evaluate_teacher(tmp_path / "tcn.onnx", x.numpy(), wanted.argmax(1).numpy())
    assert (found.accuracy, found.uncounted) == (1.0, ())
    assert found.macs == 20 * (6 * 5 + 4 * 5 * 5 * 3) + 5 * 7 + 7 * 4  # four blocks reach over 31 steps


@pytest.mark.parametrize("readout", ["count", "v_last", "v_mean", "v_max"])
@torch.no_grad()
def test_a_series_is_run_as_if_it_were_alone_and_ended(readout: Any) -> None:
    torch.manual_seed(1)
    cells = [LayerModel(**layer) for layer in CURRENT["students"]["layers"]]
    network = student_network(cells[: 6 if readout == "count" else 8], (4,), 3, 1e-3).eval()
    x, _, lengths = (torch.from_numpy(array[:12]) for array in samples("current"))
    together = simulate(network, 3 * x, T, readout, lengths)
    assert all(0 < rate.mean() < 1 for rate in together.rates)
    for row, steps in enumerate(lengths.tolist()):
        alone = simulate(network, 3 * x[row : row + 1, :steps], steps, readout, lengths[row : row + 1])
        torch.testing.assert_close(alone.outputs[0], together.outputs[row])
        for own, rate in zip(alone.rates, together.rates, strict=True):
            torch.testing.assert_close(own[0], rate[row])


def test_a_batch_norm_learns_from_own_steps_alone() -> None:
    norm = nn.BatchNorm1d(4, momentum=1.0)
    x, _, lengths = samples("current")
    simulate(nn.Sequential(norm, LIBoxCell()), torch.from_numpy(x), T, "v_mean", torch.from_numpy(lengths))
    own = np.concatenate([sample[:steps] for sample, steps in zip(x, lengths, strict=True)])
    np.testing.assert_allclose(norm.running_mean.numpy(), own.mean(axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"source": "digits"}}, "source 'digits' has images: set input 'current' to 'constant'"),
        ({"data": {"augment": "shift"}}, "augment 'shift' is for images, not for input 'current'"),
        ({"data": {"input_range": [1.0, 1.0]}}, r"input_range \[1, 1\] must be two numbers, low < high"),
        ({"data": {"input": "spikes"}}, "input_range is not of input 'spikes', which are 0 and 1"),
        ({"data": {"input": "constant"}}, "teacher.architecture 'tcn' is for series: set data.input to"),
        ({"teacher": {"architecture": "cnn"}}, "'cnn' is for images: for data.input 'current' take 'tcn'"),
    ],
)
def test_what_does_not_go_together_is_named(changes: dict[str, Any], message: str) -> None:
    described = {**CURRENT, **{key: {**CURRENT[key], **value} for key, value in changes.items()}}
    with pytest.raises(InputError, match=message):
        parse_experiment(described)


@pytest.mark.parametrize(
    ("data", "arrays", "message"),
    [
        ({}, {"lengths": np.full(60, T + 1)}, r"lengths from 7 to 7; x has 6 steps"),
        ({"timesteps": 4}, {}, r"samples last 6 steps, students\.timesteps is 4; set it to 6"),
        ({"timesteps": 9}, {"lengths": None}, r"samples last 6 steps, students\.timesteps is 9; set it to 6"),
        ({}, {"x": np.zeros((60, T), np.float32)}, r"series are \(N, steps, channels\) .*x\[\.\.\., None\]"),
        (
            {"input_range": [0.0, 0.5]},
            {},
            r"leave the model's input range 0 to 0\.5; scale them, or set data\.",
        ),
        ({"input": "constant", "input_range": [-2.0, 2.0]}, {}, "has lengths, and data.input is 'constant'"),
        ({"input": "spikes", "input_range": [0.0, 1.0]}, {}, "spikes are 0 or 1"),
    ],
)
def test_series_that_do_not_fit_are_refused(
    data: dict[str, Any], arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    steps = data.get("timesteps", T)
    data = {key: value for key, value in data.items() if key != "timesteps"}
    described = written(tmp_path, "current", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_splits(DataModel(**{**described["data"], **data}), 0, timesteps=steps)
    assert "\n" not in str(caught.value)


def test_arrays_of_different_lengths_are_taken_as_a_list() -> None:
    x, y, lengths = samples("current")
    listed = as_arrays("data", ([sample[:steps] for sample, steps in zip(x, lengths, strict=True)], y))
    given = as_arrays("data", (x, y, lengths))
    described = DataModel(**{**CURRENT["data"], "source": "arrays"})
    one, other = (load_splits(described, 0, arrays=arrays, timesteps=T) for arrays in (listed, given))
    assert one.digest == other.digest
    assert one.lengths is not None and other.lengths is not None  # noqa: PT018  for the type checker
    assert torch.equal(one.x, other.x) and torch.equal(one.lengths, other.lengths)  # noqa: PT018


def test_events_are_binned_for_training_as_for_the_test(tmp_path: Path) -> None:
    """Each recording's events on the channel of its class; training and test get what sne-compile would."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 3
    count = rng.integers(4, 9, 40)
    events = {
        "t": np.concatenate([np.sort(rng.random(size)) * 29 for size in count]),
        "x": np.repeat(labels, count).astype(np.uint16),
        "offsets": np.concatenate([[0], np.cumsum(count)]),
        "labels": labels,
    }
    for split in ("train", "test"):
        np.savez(tmp_path / f"{split}.npz", **events)
    data = {"source": "npz", "folder": str(tmp_path), "validation": 10, "input": "spikes"}
    described = DataModel(**data, bin_width=5.0, shape=(3,))
    split = load_splits(described, 0, timesteps=T)
    test = load_test(described, split)
    assert test.x.shape == (40, T, 3)
    assert (test.x.any(axis=1).argmax(axis=1) == labels).all()
    together = torch.cat([split.x, split.x_validation]).numpy()
    assert sorted(map(bytes, together.astype(np.uint8))) == sorted(map(bytes, test.x))
    with pytest.raises(DataError, match=r"has events; give data\.bin_width, .*, data\.shape"):
        load_splits(DataModel(**data), 0, timesteps=T)
    with pytest.raises(InputError, match="events need both bin_width and shape"):
        parse_experiment({**SPIKES, "data": {**data, "bin_width": 5.0}})
    with pytest.raises(InputError, match="bin_width is of events: set input 'constant' to 'spikes'"):
        parse_experiment({**SPIKES, "data": {**data, "bin_width": 5.0, "shape": [3], "input": "constant"}})
    written(tmp_path, "spikes")
    with pytest.raises(DataError, match=r"has no events \(t and offsets\); leave data\.bin_width"):
        load_splits(described, 0, timesteps=T)


def test_what_comes_after_the_end_is_zero_for_a_teacher_too() -> None:
    x, y, lengths = samples("current")
    encoder = DataModel(**{**CURRENT["data"], "source": "arrays"}).encoder
    data = fit_to_model("noisy", x, y, ModelInput((4,), T + 2, encoder), lengths=lengths)
    ended = np.arange(T + 2) >= lengths[:, None]
    assert x[ended[:, :T]].any()
    assert not data.x[ended].any()
    np.testing.assert_array_equal(data.x[~ended], x[~ended[:, :T]])
