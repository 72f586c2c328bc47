"""All kinds of files that are read."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.torture.files.kind import Kind, command, function
from tests.torture.files.onnx_teacher import teacher_bytes
from tests.torture.files.readers import new_training, readers

ROOT = Path(__file__).parents[3]
_RUN = ("compile", "--target", "loihi", "--samples", "2")


def kinds(folder: Path) -> dict[str, Kind]:
    """Make good files, and import all that their reading imports."""
    (folder / "good").mkdir()
    return {**_of_runs(folder / "good"), **_of_data(folder / "good"), **_of_text(), **_of_trainings()}


def _direct(kind: str, seeds: tuple[bytes, ...]) -> Kind:
    """Read as Python does; a command reads it deep in a run, or none does."""
    name, read = readers()[kind]
    return Kind(name, seeds, function(read))


def _bytes(*paths: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in paths)


def small_ensemble(encoder: str = "spikes") -> Any:
    """One student for images of 8 by 8, of 4 steps, that every target has."""
    import torch

    import sne_deploy as sne
    from tests.networks import lif_box

    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 2, 3, stride=2), lif_box(), torch.nn.Flatten(), torch.nn.Linear(18, 10)]
    module = torch.nn.Sequential(*layers, lif_box())
    return sne.ensemble([module], input_shape=(1, 8, 8), timesteps=4, encoder=sne.Encoder(encoder))


def write_spiking(folder: Path, model: str, x: Any, y: Any) -> None:
    """One small student of spikes, as a model of that name and every other kind of file, and a report."""
    import sne_deploy as sne
    from sne_deploy.frontend.nir.file import write_nir
    from sne_netx.backend import NetxBackend

    spikes = small_ensemble()
    spikes.save(folder / model)
    with sne.compile(spikes, "netx", fidelity=False) as compiled:
        NetxBackend().write(compiled.programs[0], folder)
        write_nir(folder / "a.nir", compiled.programs[0].graph)
    with sne.compile(spikes, "loihi", fidelity=True) as compiled:
        compiled.run(x, y).save(folder / "out")
        compiled.save(folder / "kept.sne")


def _of_runs(folder: Path) -> dict[str, Kind]:
    """Models, and what a run writes."""
    small_ensemble("constant").save(folder / "model.pt")
    x, y = np.random.default_rng(0).integers(0, 2, (3, 4, 1, 8, 8), np.uint8), np.array([1, 2, 3])
    np.savez(folder / "x.npz", x=x, y=y)
    np.savez(folder / "image.npz", x=x[:, 0].astype(np.float32), y=y)
    write_spiking(folder, "spikes.pt", x, y)
    images, spiking = str(folder / "image.npz"), str(folder / "x.npz")
    graphs = ("--timesteps", "4", "--data", spiking)
    model = [*_RUN, str(folder / "model.pt"), "--data", images]
    return {
        "model.pt": Kind("m.pt", _bytes(folder / "model.pt"), command(*_RUN, "{}", "--data", images)),
        ".nir": Kind("m.nir", _bytes(folder / "a.nir"), command(*_RUN, "{}", "--dt-s", "0.001", *graphs)),
        ".net": Kind("m.net", _bytes(*sorted(folder.glob("*.net"))), command(*_RUN, "{}", *graphs)),
        ".sne": _direct(".sne", _bytes(folder / "kept.sne")),
        ".onnx": Kind("t.onnx", (teacher_bytes(),), command(*model, "--teacher", "{}")),
        "report.json": Kind("report.json", _bytes(folder / "out" / "report.json"), command("report", "{}")),
        "details.json": _direct("details.json", _bytes(folder / "out" / "details.json")),
        "predictions.npz": _direct("predictions.npz", _bytes(folder / "out" / "predictions.npz")),
        "chip.toml": Kind(
            "chip.toml",
            _bytes(*sorted((ROOT / "sne_deploy" / "chips").glob("*.toml"))),
            command(*model, "--hardware", "{}"),
        ),
    }


def _of_data(folder: Path) -> dict[str, Kind]:
    """Data sets. The models of :func:`_of_runs` are there."""
    rng = np.random.default_rng(1)
    images = {"x": rng.random((3, 1, 8, 8), np.float32), "y": np.array([1, 2, 3])}
    events = {name: rng.integers(0, 8, 40) for name in "xy"}
    events |= {"t": np.tile(np.arange(20), 2), "p": rng.integers(0, 2, 40)}
    events |= {"offsets": np.array([0, 20, 40]), "labels": np.array([3, 1])}
    pixels = rng.integers(0, 256, (2, 3072), np.uint8)
    batch = {b"data": pixels, b"labels": [3, 9], b"filenames": [b"a.png", b"b.png"]}
    idx = struct.pack(">HBBIII", 0, 8, 3, 2, 28, 28) + rng.bytes(2 * 28 * 28)
    model, spiking = str(folder / "model.pt"), str(folder / "spikes.pt")
    return {
        ".npz": Kind(
            "x.npz",
            (_npz(images, np.savez), _npz(images, np.savez_compressed)),
            command(*_RUN, model, "--data", "{}"),
        ),
        ".npy": Kind(
            "x.npy",
            (_npy(images["x"]), _npy(images["x"].astype(np.float64))),
            command(*_RUN, model, "--data", "{}"),
        ),
        "events.npz": Kind(
            "e.npz",
            (_npz(events, np.savez), _npz(events, np.savez_compressed)),
            command(*_RUN, spiking, "--bin-width", "10", "--data", "{}"),
        ),
        "MNIST": _direct("MNIST", (idx, gzip.compress(idx, mtime=0))),
        "CIFAR-10": _direct("CIFAR-10", tuple(pickle.dumps(batch, protocol) for protocol in (2, 4))),
    }


def _npz(arrays: dict[str, Any], save: Any) -> bytes:
    made = io.BytesIO()
    save(made, **arrays)
    return made.getvalue()


def _npy(array: Any) -> bytes:
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()


def _of_text() -> dict[str, Kind]:
    """What users write."""
    energy, examples = ROOT / "sne_deploy" / "energy", ROOT / "examples"
    processors = _bytes(*sorted((energy / "processors").glob("*.toml")))
    return {
        "experiment.toml": _direct(
            "experiment.toml",
            _bytes(*(examples / name for name in ("mnist/experiment.toml", "cifar10/gpu.toml"))),
        ),
        "processors.toml": _direct("processors.toml", tuple(_of_ones_own(data) for data in processors)),
        "case.json": Kind(
            "c.json", _bytes(*sorted((energy / "validation").glob("*.json"))), command("validate", "{}")
        ),
    }


def _of_ones_own(processors: bytes) -> bytes:
    """Their names are taken."""
    return re.sub(rb"(?m)^\[([\w-]+)", rb"[\1-own", processors)


def _kept(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        write(Path(name) / "kept")
        return (Path(name) / "kept").read_bytes()


def _of_trainings() -> dict[str, Kind]:
    """What a training keeps, to go on."""
    import torch

    from sne_deploy.distill.training.epochs import Epoch
    from sne_deploy.distill.training.resume import ResumePoint

    module, optimizer = new_training()
    module(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    done = [Epoch({"cross_entropy": 1.0}, 0.1, 2.0)]
    trained = {"student 1": {"epochs": 3, "seconds": 1.5, "machines": {"a processor, 2 threads": 1.5}}}
    made = {
        "kept state": _kept(lambda path: ResumePoint(path, "f").keep(module, optimizer, done)),
        "kept tensor": _kept(lambda path: ResumePoint(path, "f").write({"tensor": torch.ones(3, 2)})),
        "trained.json": json.dumps(trained).encode(),
    }
    return {name: _direct(name, (data,)) for name, data in made.items()}
