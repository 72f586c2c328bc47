"""A wrong input, through the real command: status 2, one clear line, and nothing written."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import nir
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import sne_deploy as sne
from sne_deploy.frontend.nir.file import write_nir
from sne_deploy.model.checkpoint.document import from_ensemble
from sne_deploy.model.checkpoint.write import _with_tensors
from tests.command_line import Outcome, command
from tests.networks import INPUT_SHAPE, lif_box, network

MODEL = "MODEL"
"""Stands for the path of a valid checkpoint."""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, Any]]:
    """Fresh copies of a valid checkpoint's content: one dense student on the digits."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10), lif_box())
    ensemble = sne.ensemble([module], input_shape=(1, 8, 8), timesteps=4, encoder=sne.Encoder("constant"))
    return lambda: _with_tensors(from_ensemble(ensemble))


@pytest.fixture
def model(tmp_path: Path, document: Callable[[], dict[str, Any]]) -> Path:
    path = tmp_path / "valid.pt"
    torch.save(document(), path)
    return path


def refused(tmp_path: Path, arguments: list[Any], message: str, *, target: str = "norse") -> Outcome:
    """Run, and assert everything that a wrong input must give."""
    out = tmp_path / "out"
    if "--target" not in arguments:
        arguments = [*arguments, "--target", target]
    if "--out" not in arguments:
        arguments = [*arguments, "--out", out]
    found = command(*arguments)
    assert found.status == 2, found
    assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert len(lines) == 1, found.stderr
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]
    assert len(lines[0]) < 1000
    assert not out.exists(), "the output folder was made"
    return found


def test_debug_shows_where_beside_the_line(tmp_path: Path) -> None:
    plain = refused(tmp_path, [tmp_path / "none.pt"], "cannot read")
    found = command(tmp_path / "none.pt", "--target", "norse", "--debug")
    assert found.status == 2
    assert "Traceback (most recent call last)" in found.stderr
    assert "CheckpointError" in found.stderr
    assert found.stderr.endswith(plain.stderr)


# the model file


def test_a_missing_model(tmp_path: Path) -> None:
    refused(tmp_path, [tmp_path / "none.pt"], r"cannot read .*none\.pt: No such file.*give the path of a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"model\.pt.*empty"),
        (np.random.default_rng(0).bytes(5000), r"model\.pt.*not a (zip|checkpoint)|model\.pt.*zip"),
        (b"PK\x03\x04 not much of a zip", r"model\.pt"),
        (pickle.dumps({"old": "pickle"}), r"model\.pt: a pickle .* can run code when it is read; save"),
    ],
    ids=["empty", "random", "broken", "bare pickle"],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    refused(tmp_path, [path], message)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model(tmp_path: Path, model: Path, kept: float) -> None:
    data = model.read_bytes()
    model.write_bytes(data[: int(kept * len(data))])
    refused(tmp_path, [model], r"valid\.pt: .*(truncated|not a|damaged|zip)")


def test_a_model_that_is_a_device(tmp_path: Path) -> None:
    refused(tmp_path, ["/dev/zero"], "cannot read /dev/zero: it is a device, not a file; give the path of a")


def test_a_pickled_module(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    refused(tmp_path, [path], r"save the model with sne\.ensemble\(\[\.\.\.\]\)\.save\('model\.pt'\)")


def test_a_bare_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    refused(tmp_path, [path], r"bare state dict.*save the model with sne\.ensemble")


def test_code_in_a_model_never_runs(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = tmp_path / "model.pt"
    torch.save({"format": Touch()}, path)
    refused(tmp_path, [path], r"model\.pt")
    assert not (tmp_path / "ran").exists()


def test_a_deflated_bomb(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in source.namelist():
            bomb.writestr(entry, source.read(entry) if "data/" not in entry else bytes(10**7))
    refused(tmp_path, [path], r"bomb\.pt.*compressed")


def test_an_absurd_shape(tmp_path: Path, document: Callable[[], dict[str, Any]]) -> None:
    """A stride-0 tensor: 10^12 weights in 4 bytes."""
    content = document()
    content["students"][0]["layers"][1]["tensors"]["weight"] = torch.zeros(1).expand(10**6, 10**6)
    path = tmp_path / "model.pt"
    torch.save(content, path)
    assert path.stat().st_size < 10_000
    refused(tmp_path, [path], r"1000000000000 values\) on a storage of 1")


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_weights_that_are_not_finite(
    tmp_path: Path, document: Callable[[], dict[str, Any]], value: float, word: str
) -> None:
    content = document()
    content["students"][0]["layers"][1]["tensors"]["weight"][2, 3] = value
    path = tmp_path / "model.pt"
    torch.save(content, path)
    refused(tmp_path, [path], rf"student 'student0', layer 1 \(Linear\), tensor weight: holds {word}")


def test_layers_that_do_not_chain(tmp_path: Path, document: Callable[[], dict[str, Any]]) -> None:
    content = document()
    content["students"][0]["layers"][1]["tensors"]["weight"] = torch.zeros(10, 63)
    path = tmp_path / "model.pt"
    torch.save(content, path)
    refused(tmp_path, [path], r"student 'student0', layer 1.*63.*64|student 'student0', layer 1.*64.*63")


def test_an_unknown_layer(tmp_path: Path, document: Callable[[], dict[str, Any]]) -> None:
    content = document()
    content["students"][0]["layers"][1]["kind"] = "Transformer"
    path = tmp_path / "model.pt"
    torch.save(content, path)
    refused(tmp_path, [path], r"layer 1: layer kind 'Transformer' is unknown; known kinds: Linear, ")


# NIR files


@pytest.fixture
def nir_file(tmp_path: Path) -> Path:
    from sne_deploy.frontend.norse.export import export_student

    student = sne.ensemble([network("dense")], input_shape=INPUT_SHAPE, timesteps=4).students[0]
    path = tmp_path / "net.nir"
    write_nir(path, export_student(student, INPUT_SHAPE))
    return path


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", bytes(3000)])
def test_a_damaged_nir_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.nir"
    path.write_bytes(content)
    refused(tmp_path, [path, "--timesteps", 4], r"net\.nir")


def test_a_nir_file_without_its_steps(tmp_path: Path, nir_file: Path) -> None:
    refused(tmp_path, [nir_file], "how many steps a sample lasts; give --timesteps")


def test_a_nir_file_without_its_time_step(tmp_path: Path) -> None:
    graph = nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([3])}),
            "fc": nir.Linear(np.ones((2, 3))),
            "if": nir.IF(r=np.full(2, 1000.0), v_threshold=np.ones(2), v_reset=np.zeros(2)),
            "output": nir.Output({"output": np.array([2])}),
        },
        edges=[("input", "fc"), ("fc", "if"), ("if", "output")],
    )
    nir.write(tmp_path / "net.nir", graph)
    refused(tmp_path, [tmp_path / "net.nir", "--timesteps", 4], "how long a step is; give --dt-s")


@pytest.mark.parametrize("steps", [0, -3])
def test_steps_that_are_no_number_of_steps(tmp_path: Path, nir_file: Path, steps: int) -> None:
    data = npz(tmp_path, x=np.zeros((2, 4, *INPUT_SHAPE), np.uint8))
    refused(
        tmp_path, [nir_file, "--timesteps", steps, "--data", data], rf"timesteps {steps} must be at least 1"
    )


def test_a_folder_without_models(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path, [tmp_path / "empty"], r"empty: the folder holds no \.nir files")


def test_a_model_and_a_graph(tmp_path: Path, model: Path, nir_file: Path) -> None:
    refused(
        tmp_path, [nir_file, model, "--timesteps", 4], r"valid\.pt: an ensemble of several files is made of"
    )


def test_images_for_a_model_of_spikes(tmp_path: Path, nir_file: Path) -> None:
    refused(tmp_path, [nir_file, "--timesteps", 4], r"digits.*shape")


# data


def npz(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


IMAGES = np.zeros((3, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES[:, :, :7]}, r"samples have shape \(1, 7, 8\), the model takes \(1, 8, 8\)"),
        ({"x": IMAGES + 1.5}, r"values from 1\.5 to 1\.5 leave the model's input range 0 to 1; scale them"),
        ({"x": IMAGES - 0.1}, r"leave the model's input range"),
        ({"x": IMAGES.astype(np.complex64)}, "has dtype complex64"),
        ({"x": IMAGES.astype(np.int64) + 2**60}, "has dtype int64; store it as float32"),
        ({"x": IMAGES.astype(object)}, "pickled objects are never read"),
        ({"x": IMAGES.astype(str)}, "must hold numbers"),
        ({"x": np.full_like(IMAGES, np.nan)}, "every value must be finite"),
        ({"x": IMAGES[:0]}, "no samples"),
        ({"x": np.float32(1)}, "no samples"),
        ({"z": IMAGES}, "has no array x"),
        ({"x": IMAGES, "y": np.zeros(2, int)}, r"y has shape \(2,\), must be \(3,\)"),
        ({"x": IMAGES, "y": np.array([0, 1, -1])}, "labels from -1 to 1"),
        ({"x": IMAGES, "y": np.array([0.5, 1, 1])}, "not whole numbers"),
        ({"x": IMAGES, "y": np.array([0, 1, 10])}, "label 10, but the model has 10 classes, 0 to 9"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit(tmp_path: Path, model: Path, arrays: dict[str, Any], message: str) -> None:
    refused(tmp_path, [model, "--data", npz(tmp_path, **arrays)], message)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("imagenet", "unknown data 'imagenet'; give one of digits"),
        ("mnist", "lacks its folder; give mnist:DIR"),
        ("mnist:/nowhere", "/nowhere"),
        ("cifar10:train:/nowhere", "/nowhere"),
        ("/nowhere/x.npz", r"cannot read /nowhere/x\.npz: No such file"),
        ("digits:all", "digits are embedded"),
    ],
)
def test_data_that_are_not_there(tmp_path: Path, model: Path, spec: str, message: str) -> None:
    refused(tmp_path, [model, "--data", spec], message)


def test_data_that_are_no_npz(tmp_path: Path, model: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"x" * 100)
    refused(tmp_path, [model, "--data", tmp_path / "data.npz"], "damaged or not an .npz file")


@pytest.mark.parametrize("samples", [0, -1, 461, 10**12])
def test_samples_that_are_not_there(tmp_path: Path, model: Path, samples: int) -> None:
    refused(
        tmp_path,
        [model, "--samples", samples],
        rf"--samples {samples}: data set digits has 460 samples; choose between 1 and 460",
    )


# options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "tpu"], r"unknown target 'tpu'; known targets: .*lava.*norse"),
        (["--precision", "double"], "unknown precision 'double'; known: fixed, float"),
        (["--target", "norse", "--precision", "fixed"], "no precision 'fixed'; it has float"),
        (["--policy", "greedy"], "unknown policy 'greedy'; known: static, confidence, gate"),
        (["--policy", "gate"], r"policy 'gate': there is no gate; train one with \[policy\] kind = 'gate'"),
        (["--students", "0"], "policy 'static': students 0 must be at least 1"),
        (["--students", "99"], "policy 'static': students 99 is more than the ensemble's [0-9]+"),
        (["--students", "many"], "'--students'.*see sne-compile --help"),
        (["--measure", "luck"], "unknown measure 'luck'; known: max_probability, margin, entropy"),
        (["--measure", "margin"], "no meaning for policy 'static'; add --policy confidence"),
        (["--policy", "confidence", "--threshold", "1", "--students", "99"], "students 99 is more than the"),
        (["--policy", "confidence"], r"threshold None is not in \(0, 1\]; give one with --threshold"),
        (["--policy", "confidence", "--threshold", "0"], r"threshold 0\.0 is not in \(0, 1\]"),
        (["--policy", "confidence", "--threshold", "1.01"], r"threshold 1\.01 is not in \(0, 1\]"),
        (["--policy", "confidence", "--threshold", "nan"], r"threshold nan is not in \(0, 1\]"),
        (["--threshold", "0.5"], "no meaning for policy 'static'; add --policy confidence"),
        (["--rate", "0"], "rate 0 must be inferences a second, above 0; leave it out"),
        (["--rate", "inf"], "rate inf must be inferences a second, above 0; leave it out"),
        (["--x86", "-1"], "'--x86'.*see sne-compile --help"),
        (["--powered", "all"], "unknown powered 'all'; known: chips, used"),
        (["--samples", "many"], "'--samples'.*see sne-compile --help"),
        (["--seed", "-1"], "'--seed'.*see sne-compile --help"),
        (["--verbose"], "No such option: --verbose.*see sne-compile --help"),
        (["--timesteps", "4"], "timesteps 4 was given, but .* says it itself; leave it out"),
        (["--dt-s", "0.001"], "dt_s 0.001 was given"),
        (["--hardware", "loihi9"], "unknown hardware 'loihi9'; known: loihi1, loihi2"),
        (["--hardware", "/nowhere/chip.toml"], "No such file"),
    ],
)
def test_options_that_mean_nothing(tmp_path: Path, model: Path, arguments: list[str], message: str) -> None:
    refused(tmp_path, [model, *arguments], message)


def test_no_model_at_all(tmp_path: Path) -> None:
    refused(tmp_path, [], "Missing argument 'MODEL'; see sne-compile --help")


def hardware_text() -> str:
    return resources.files("sne_deploy.chips").joinpath("loihi1.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^synop = .*23\.6.*\n", "", r"energy\.synop is missing; add synop = .* under \[energy\]"),
        (r"23\.6", "-23.6", r"energy\.synop: value -23\.6 pJ is not in \[0, 0\.001 J\]"),
        (r"23\.6", "nan", r"energy\.synop.*finite"),
        (r"23\.6", "'much'", r"energy\.synop.*number"),
        (r'"pJ"', '"parsec"', r"parsec"),
        (r"^\[host\]\nmac = .*\n", "", r"host is missing; add a \[host\] table"),
        (r"^\[energy\]", "[energy", "is not TOML"),
    ],
)
def test_a_hardware_file_that_lacks_something(
    tmp_path: Path, model: Path, pattern: str, replacement: str, message: str
) -> None:
    text, changes = re.subn(pattern, replacement, hardware_text(), count=1, flags=re.MULTILINE)
    assert changes == 1
    (tmp_path / "chip.toml").write_text(text, "utf-8")
    refused(tmp_path, [model, "--hardware", tmp_path / "chip.toml"], rf"chip\.toml.*{message}")


# the teacher


def onnx_teacher(path: Path, features: int = 64) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])],
        "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, features // 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.zeros((features, 10), np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def test_a_teacher_that_is_not_onnx(tmp_path: Path, model: Path) -> None:
    refused(tmp_path, [model, "--teacher", model], r"valid\.pt.*(ONNX|onnx)")


def test_a_teacher_that_is_missing(tmp_path: Path, model: Path) -> None:
    refused(tmp_path, [model, "--teacher", tmp_path / "none.onnx"], r"none\.onnx: No such file|none\.onnx")


def test_a_teacher_of_other_data(tmp_path: Path, model: Path) -> None:
    path = onnx_teacher(tmp_path / "teacher.onnx", features=48)
    refused(tmp_path, [model, "--teacher", path], r"teacher\.onnx.*shape")


def test_a_teacher_that_fits_is_not_refused(tmp_path: Path, model: Path) -> None:
    path = onnx_teacher(tmp_path / "teacher.onnx")
    found = command(model, "--target", "norse", "--samples", 3, "--teacher", path)
    assert found.status == 0, found.stderr
    assert "640 MAC" in found.stdout


# the output folder


@pytest.mark.parametrize("place", ["file", "file/below", "file/below/deeper"])
def test_a_file_where_the_output_folder_should_be(tmp_path: Path, model: Path, place: str) -> None:
    (tmp_path / "file").write_text("keep me")
    refused(
        tmp_path, [model, "--out", tmp_path / place], r"cannot write output folder .*Not a directory.*--out"
    )
    assert (tmp_path / "file").read_text() == "keep me"


def test_a_file_where_the_students_should_be(tmp_path: Path, model: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "students").write_text("keep me")
    refused(tmp_path, [model, "--out", tmp_path / "there"], "cannot write output folder .*students")
    assert [entry.name for entry in (tmp_path / "there").iterdir()] == ["students"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission(tmp_path: Path, model: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(tmp_path, [model, "--out", tmp_path / "locked"], "cannot write output folder .*Permission denied")


# without Lava, and from a shell


@pytest.mark.parametrize(
    ("hidden", "remedy"),
    [
        ("lava", r"lava-nc is not installed; install it with: .*pip install --no-deps .*lava-nc==0\.10\.0"),
        ("asteval", r"lava-nc needs asteval.*pip install asteval"),
    ],
)
def test_target_lava_without_lava(tmp_path: Path, model: Path, hidden: str, remedy: str) -> None:
    out = tmp_path / "out"
    found = _without(hidden, [model, "--target", "lava", "--samples", "2", "--out", out])
    assert (found.returncode, found.stdout) == (2, ""), found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(remedy, line), line
    assert "or use --target loihi" in line
    assert not out.exists()


def test_without_lava_the_default_target_is_loihi_and_says_so(model: Path) -> None:
    found = _without("lava", [model, "--samples", "2"])
    assert found.returncode == 0, found.stderr
    assert "on loihi (fixed, loihi1): 2 samples" in " ".join(found.stdout.split())
    assert found.stderr.startswith("running on target loihi, which gives the same integers: target lava: ")


def _without(hidden: str, arguments: list[Any]) -> subprocess.CompletedProcess[str]:
    """``sne-compile`` in a process of its own, in which one package cannot be found."""
    script = f"""
import importlib.abc, sys

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide())
from sne_deploy.cli import compile_main
sys.exit(compile_main())
"""
    command = [sys.executable, "-c", script, *(str(each) for each in arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.pt"], r"cannot read none\.pt"),
        (["valid.pt", "--samples", "0"], "--samples 0"),
        (["valid.pt", "--hardware", "loihi9"], "unknown hardware"),
    ],
)
def test_the_installed_command_from_a_shell(
    tmp_path: Path, model: Path, arguments: list[str], message: str
) -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("sne-compile"), *arguments, "--target", "norse", "--out", "out"],
        capture_output=True,
        text=True,
        cwd=model.parent,
    )
    assert (found.returncode, found.stdout) == (2, "")
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line)
    assert not (tmp_path / "out").exists()


# saved reports


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read .*report\.json: No such file"),
        ("", "not a report of this version"),
        ("[1, 2]", "not a report of this version"),
        (json.dumps({"schema_version": 99}), "not a report of this version"),
    ],
)
def test_a_report_that_is_none(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    found = command("report", tmp_path, name="sne")
    assert (found.status, found.stdout) == (2, "")
    (line,) = found.stderr.splitlines()
    assert re.match(f"error: .*{message}", line), line
