"""What is no regular file is never opened; what is written is whole, or not there."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sne_deploy.chips.chip import load_chip
from sne_deploy.data.cifar10 import load_cifar10
from sne_deploy.data.mnist import load_mnist
from sne_deploy.data.npz import load_npz
from sne_deploy.distill.experiment import load_experiment
from sne_deploy.distill.training.journal import Journal
from sne_deploy.distill.training.resume import ResumePoint
from sne_deploy.errors import InputError, OutputError
from sne_deploy.files import atomic_path, is_folder, open_regular, parse_toml, read_regular
from sne_deploy.frontend.models import load_model
from sne_deploy.report.file import load_report
from sne_deploy.teacher.onnx_model import read_onnx

LONG = "x" * 5000
READERS: dict[str, Callable[[Path], object]] = {
    "model.pt": load_model,
    "a.nir": load_model,
    "a.net": load_model,
    "chip.toml": load_chip,
    "experiment.toml": load_experiment,
    "report.json": load_report,
    "x.npz": lambda path: load_npz("test", path),
    "teacher.onnx": read_onnx,
    "t10k-images-idx3-ubyte": lambda path: load_mnist("test", path.parent),
    "test_batch": lambda path: load_cifar10("test", path.parent),
    "training.jsonl": lambda path: Journal(path).finish(),
    "state.pt": lambda path: ResumePoint(path, "any").read(),
}
"""Everything that reads a file which a user names, by the file's name."""


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize("kind", [pipe, device, unix_socket])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str, kind: Callable[[Path], None]) -> None:
    path = tmp_path / name
    kind(path)
    waiting = threading.Timer(10.0, lambda: os.close(os.open(path, os.O_RDWR)))  # so that a fault ends
    waiting.start()
    try:
        with pytest.raises(InputError, match=r"it is a (pipe|device|socket), not a file"):
            READERS[name](path)
    finally:
        assert waiting.is_alive(), "it waited for a writer"
        waiting.cancel()


@pytest.mark.parametrize("name", READERS)
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"File name too long|has no t10k-images"):
        READERS[name](Path(LONG, name))


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_regular(path, 3) == b"abc"
    with pytest.raises(OSError, match="it has 3 bytes, more than the limit of 2"):
        read_regular(path, 2)
    with pytest.raises(OSError, match="more bytes than the limit of 10"):
        read_regular("/proc/self/status", 10)  # whose size is said to be 0
    with pytest.raises(OSError, match="null"):
        open_regular("a\0b")
    with pytest.raises(OSError, match="a folder, not a file"):
        open_regular(tmp_path)
    assert is_folder(tmp_path)
    assert not is_folder(path)
    assert not is_folder(LONG)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for kind in (pipe, device):
        kind(tmp_path / kind.__name__)
        with pytest.raises(OSError, match="not a file"):
            open_regular(tmp_path / kind.__name__)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["x" * 256, "a\0b"])
def test_a_name_that_cannot_be_written_is_refused_before_anything_is(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot write .*(too long|null).*a name that it can hold"),
        atomic_path(tmp_path / name),
    ):
        pytest.fail("the body must not run")
    assert not list(tmp_path.iterdir())


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"a")
    assert path.read_bytes() == b"a"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = " + "9" * 5000, "digits"),
        ("x = " + "0x" + "f" * 5000, "more than 64 bits"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("x = " + "[" * 30 + "]" * 30, "nested deeper than 16"),
        (".".join(["a"] * 5000) + " = 1", "nested deeper than 16"),
        ("[" + ".".join(["a"] * 5000) + "]", "nested deeper than 16"),
        ("\xff", "codec"),
        ("x", "Expected"),
    ],
    ids=["digits", "hexadecimal", "deep list", "list", "deep key", "deep table", "latin", "no toml"],
)
def test_toml_that_nothing_takes_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    data = text.encode("latin-1")
    with pytest.raises(ValueError, match=reason) as caught:
        parse_toml(data)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    path = tmp_path / "a.toml"
    path.write_bytes(data)
    for read in (load_chip, load_experiment):
        with pytest.raises(InputError, match=reason):
            read(path)
