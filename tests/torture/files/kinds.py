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

from tests.older_reports import LATER, of_version
from tests.torture.files.kept import write_kept
from tests.torture.files.kind import Kind, beside, command, function
from tests.torture.files.learned import learned
from tests.torture.files.onnx_teacher import teacher_bytes
from tests.torture.files.readers import new_training, readers
from tests.torture.files.student import small_ensemble, spikes_and_labels

ROOT = Path(__file__).parents[3]
_RUN = ("compile", "--target", "loihi", "--samples", "2")


def kinds(folder: Path) -> dict[str, Kind]:
    """Make good files, and import all that their reading imports."""
    (folder / "good").mkdir()
    good = folder / "good"
    found = {**_of_runs(good), **_of_reports(good), **_of_data(good), **_of_text(good)}
    return {**found, **_of_trainings(), **_of_work(good)}


def _direct(kind: str, seeds: tuple[bytes, ...]) -> Kind:
    """Read as Python does; a command reads it deep in a run, or none does."""
    name, read = readers()[kind]
    return Kind(name, seeds, function(read))


def _bytes(*paths: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in paths)


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
    x, y = spikes_and_labels()
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
        ".sne": Kind("m.sne", _bytes(folder / "kept.sne"), command(*_RUN, "{}", "--data", spiking)),
        ".onnx": Kind("t.onnx", (teacher_bytes(),), command(*model, "--teacher", "{}")),
        "chip.toml": Kind(
            "chip.toml",
            _bytes(*sorted((ROOT / "sne_deploy" / "chips").glob("*.toml"))),
            command(*model, "--hardware", "{}"),
        ),
    }


def _of_reports(folder: Path) -> dict[str, Kind]:
    """What a run writes, printed, drawn on a page, beside another and beside processors."""
    from sne_deploy.report.file import load_report

    out = folder / "out"
    report = load_report(out)
    older = (json.dumps(of_version(report, version), indent=1).encode() for version in LATER)
    today = _bytes(out / "report.json")
    page = ("--html", "--out", "{0.parent}/page.html")
    drawn = beside({"report.json": today[0]}, command("report", "{0.parent}", *page))
    return {
        "report.json": Kind("report.json", (*today, *older), command("report", "{}")),
        "page of report.json": Kind("report.json", today, command("report", "{}", *page)),
        "page of two report.json": Kind("report.json", today, command("report", "{}", str(out), *page)),
        "details.json": Kind("details.json", _bytes(out / "details.json"), drawn),
        "predictions.npz": _direct("predictions.npz", _bytes(out / "predictions.npz")),
        "compared .onnx": Kind(
            "t.onnx", (teacher_bytes(),), command("report", str(out), "--compare-onnx", "{}")
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
    (folder / "x.npy").write_bytes(_npy(images["x"]))
    x, y = spikes_and_labels()
    ragged = {"x": x * (np.arange(4) < 3)[None, :, None, None, None], "y": y, "lengths": np.array([3, 4, 3])}
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
        "labels .npy": Kind(
            "y.npy",
            (_npy(images["y"]), _npy(images["y"].astype(np.uint8))),
            command(*_RUN, model, "--data", f"{folder / 'x.npy'}:{{}}"),
        ),
        "lengths .npz": Kind(
            "x.npz",
            (_npz(ragged, np.savez), _npz(ragged, np.savez_compressed)),
            command(*_RUN, spiking, "--data", "{}"),
        ),
        "data of sne init": Kind(
            "x.npz",
            (_npz(learned(), np.savez),),
            command("init", "--data", "{}", "--out", "{0.parent}/e.toml"),
        ),
        "data of a training": _direct("data of a training", (_npz(learned(), np.savez),)),
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


def _of_text(folder: Path) -> dict[str, Kind]:
    """What users write. The report of :func:`_of_runs` is there."""
    energy, examples = ROOT / "sne_deploy" / "energy", ROOT / "examples"
    teacher = folder / "teacher.onnx"
    teacher.write_bytes(teacher_bytes())
    processors = _bytes(*sorted((energy / "processors").glob("*.toml")))
    return {
        "experiment.toml": _direct(
            "experiment.toml",
            _bytes(*(examples / name for name in ("mnist/experiment.toml", "cifar10/gpu.toml"))),
        ),
        "processors.toml": Kind(
            "p.toml",
            tuple(_of_ones_own(data) for data in processors),
            command("report", str(folder / "out"), "--compare", "{}", "--compare-onnx", str(teacher)),
        ),
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
    made["teacher of a training"] = teacher_bytes()
    return {name: _direct(name, (data,)) for name, data in made.items()}


def _of_work(folder: Path) -> dict[str, Kind]:
    """What a run that was interrupted has kept."""
    write_kept(folder)
    files = {
        "made_with.json": _bytes(folder / "rounds" / "made_with.json"),
        "kept samples": _bytes(folder / "samples" / "samples-0-3.npz"),
        "kept rounds": _bytes(folder / "rounds" / "rounds.npz"),
    }
    return {name: _direct(name, data) for name, data in files.items()}
