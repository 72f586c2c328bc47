"""A small valid ensemble, its document as torch saves it, and files made by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint import load_checkpoint
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Head, Layer, Student


def make_ensemble() -> Ensemble:
    """Two students on three inputs: a spiking one with two outputs, a membrane one with one."""
    rng = np.random.default_rng(0)
    cell = {
        "tau_mem_inv": np.array(100.0),
        "v_leak": np.zeros(2),
        "v_th": np.ones(2),
        "v_reset": np.array(0.0),
    }
    leaky = {"tau_mem_inv": np.array(50.0, np.float32), "v_leak": np.array(0.0, np.float32)}
    first = (
        Layer("Linear", {"name": "fc"}, {"weight": rng.normal(size=(2, 3)), "bias": np.zeros(2)}),
        Layer("LIFBoxCell", {"dt": 0.001, "method": "super"}, cell),
    )
    second = (
        Layer("Linear", {}, {"weight": rng.normal(size=(1, 3)).astype(np.float32)}),
        Layer("LIBoxCell", {"dt": 0.001}, leaky),
    )
    head = Head("linear", rng.normal(size=(4, 3)), np.zeros(4), np.zeros(3), np.zeros((2, 4)))
    return Ensemble(
        students=(
            Student("first", first, "count", np.array([5, 7])),
            Student("second", second, "v_last"),
        ),
        input_shape=(3,),
        timesteps=6,
        encoder=Encoder("constant", (0.0, 1.0)),
        head=head,
        policy=ActivationPolicy("confidence", (1, 0), 0.9),
        provenance={"data": "digits", "seed": 3, "nested": {"list": [1, 2.5, None, True]}},
    )


@pytest.fixture
def ensemble() -> Ensemble:
    """The small ensemble."""
    return make_ensemble()


@pytest.fixture
def document() -> dict[str, Any]:
    """What ``save_checkpoint`` hands to torch, free to be spoilt."""
    from sne_deploy.model.checkpoint.document import from_ensemble
    from sne_deploy.model.checkpoint.write import _with_tensors

    made: dict[str, Any] = _with_tensors(from_ensemble(make_ensemble()))
    return made


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    """Write anything with torch.save; give the path."""

    def save(content: Any, **options: Any) -> Path:
        path = tmp_path / "model.pt"
        torch.save(content, path, **options)
        return path

    return save


REMEDY = r"save the model with sne\.ensemble\(\[\.\.\.\]\)\.save\('model\.pt'\)"


def refused(path: Path, message: str) -> str:
    """Assert that a file is refused in one line that matches; give the line."""
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 700
    assert caught.value.exit_status == 2
    return text


def write_zip(path: Path, pickled: bytes, storages: dict[str, bytes] | None = None, **options: Any) -> Path:
    """A torch zip file made by hand."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def tensor_pickle(
    shape: str, strides: str, elements: int = 1, *, offset: int = 0, grad: bytes = b"\x89", key: str = "0"
) -> bytes:
    """``{"t": tensor}`` with any claim; shape and strides as comma-separated numbers."""

    def number(value: int) -> bytes:
        data = value.to_bytes(10, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data

    def numbers(text: str) -> bytes:
        return b"(" + b"".join(number(int(part)) for part in text.split(",") if part) + b"t"

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(elements)
    hooks = b"ccollections\nOrderedDict\n)R"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + number(offset)
    tensor += numbers(shape) + numbers(strides) + grad + hooks + b"tR"
    return b"\x80\x02}" + text("t") + tensor + b"s."
