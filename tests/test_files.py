"""What is no regular file is never opened; what is written is whole, or not there."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch  # noqa: F401  before a clock runs that the state's reader is held to

from sne_deploy.chips.chip import load_chip
from sne_deploy.data.cifar10 import load_cifar10
from sne_deploy.data.mnist import load_mnist
from sne_deploy.data.npz import load_npz
from sne_deploy.distill.experiment import load_experiment
from sne_deploy.distill.training.journal import Journal
from sne_deploy.distill.training.resume import ResumePoint
from sne_deploy.errors import InputError, OutputError
from sne_deploy.files import (
    atomic_path,
    is_folder,
    open_regular,
    read_regular,
    staged_folder,
    write_whole,
)
from sne_deploy.frontend.models import load_model
from sne_deploy.leftovers import hidden_folder
from sne_deploy.report.file import load_report
from sne_deploy.teacher.onnx_model import read_onnx
from sne_deploy.toml import parse_toml
from tests.command_line import file_limit

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


def left(folder: Path) -> list[str]:
    """Everything below a folder that is hidden, which only what is not finished is."""
    return [path.name for path in folder.rglob(".*")]


def test_of_a_failure_nothing_is_left_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"old")
    for failure, shown in (
        (OSError(errno.ENOSPC, "No space left on device"), OutputError),
        (KeyError(), KeyError),
    ):
        with pytest.raises(shown), atomic_path(path) as temporary:  # noqa: PT012
            temporary.write_bytes(b"new")
            assert path.read_bytes() == b"old"
            raise failure
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
    assert write_whole(path, b"new") == path
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    with pytest.raises(OutputError, match=r"cannot write .*folder: .*; choose a folder"):
        write_whole(tmp_path / "no" / "folder", b"")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("size", [0, 1, 5, 6, 7, 20])
def test_files_of_a_folder_get_there_together(tmp_path: Path, size: int) -> None:
    """The folder has room for six bytes a file; the files have five, and ``size``."""
    out = tmp_path / "new" / "out"

    def write() -> None:
        with staged_folder(out, last=("a", "b")) as stage:
            write_whole(stage / "b", b"first")
            (stage / "c").mkdir()
            write_whole(stage / "c" / "d", bytes(size))
            write_whole(stage / "a", b"first")
            assert not list(out.glob("[a-z]*"))

    with file_limit(6):
        if size <= 6:
            write()
            assert {path.name for path in out.rglob("*")} == {"a", "b", "c", "d"}
            return
        with pytest.raises(OutputError, match=rf"cannot write {out}/c/d: File too large; raise the limit"):
            write()
    assert not list(tmp_path.iterdir())  # not the folders either
    out.mkdir(parents=True)
    write_whole(out / "b", b"old")
    with file_limit(6), pytest.raises(OutputError):
        write()
    assert [path.name for path in out.iterdir()] == ["b"]
    assert (out / "b").read_bytes() == b"old"


def test_the_last_gets_its_place_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, order = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if target.is_relative_to(tmp_path / "out") and ".sne-" not in str(target):
            order.append(target.name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with staged_folder(tmp_path / "out", last=("b", "a")) as stage:
        for name in ("a", "b", "z", "c"):
            write_whole(stage / name, b"")
    assert order == ["c", "z", "b", "a"]


def test_files_of_an_earlier_writer_go_once_all_are_written(tmp_path: Path) -> None:
    """Those that it names; neither what takes their place, nor links and folders, nor what is beside them."""
    out = tmp_path / "out"
    (out / "in" / "folder").mkdir(parents=True)
    for name in ("in/old", "in/both", "in/own", "old"):
        write_whole(out / name, b"old")
    write_whole(tmp_path / "kept", b"kept")
    (out / "in" / "link").symlink_to(tmp_path / "kept")
    asked = []

    def earlier(folder: Path) -> list[str]:
        asked.append(folder)
        return ["in/old", "in/both", "in/missing", "in/folder", "in/link", "x" * 5000, "\0"]

    with pytest.raises(OutputError), staged_folder(out, replaced=earlier) as stage:
        write_whole(stage / "missing" / "a", b"")
    assert (out / "in" / "old").exists()
    assert not asked
    with staged_folder(out, replaced=earlier) as stage:
        (stage / "in").mkdir()
        write_whole(stage / "in" / "both", b"new")
        assert (out / "in" / "old").exists()
    assert asked == [out]
    assert {path.name for path in (out / "in").iterdir()} == {"both", "own", "folder", "link"}
    assert (out / "in" / "both").read_bytes() == b"new"
    assert (out / "old").read_bytes() == b"old"


def test_each_file_of_a_folder_is_flushed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, real = [], os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with staged_folder(tmp_path / "out") as stage:
        for name in ("a", "b"):
            write_whole(stage / name, b"")
    assert sorted(flushed) == sorted(path.stat().st_ino for path in (tmp_path / "out").iterdir())


HOLD = """
import os, sys, time
from sne_deploy.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_what_a_kill_leaves_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    def writer() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "a"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    with writer() as killed, writer() as living:
        assert len(left(tmp_path)) == 2
        write_whole(tmp_path / "b", b"")
        assert len(left(tmp_path)) == 2
        killed.kill()
        killed.wait()
        write_whole(tmp_path / "b", b"")
        (kept,) = left(tmp_path)
        assert (tmp_path / kept / "a").read_bytes() == b"half"
        living.send_signal(signal.SIGINT)
    assert left(tmp_path) == []


def test_what_killed_children_leave_is_swept_by_a_command_that_stops(tmp_path: Path) -> None:
    script = f"""
import os, subprocess, sys
from pathlib import Path
from sne_deploy import stopping
from sne_deploy.leftovers import children_write
folder = Path(sys.argv[1])
with children_write(folder):
    for end in (lambda: None, lambda: stopping._end(15)):
        child = subprocess.Popen([sys.executable, "-c", {HOLD!r}, folder / "a"], stdout=subprocess.PIPE)
        child.stdout.readline()
        child.kill()
        child.wait()
        print(len(list(folder.iterdir())), flush=True)
        end()
"""
    found = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (143, "1\n1\n", "interrupted\n")
    assert left(tmp_path) == []


def test_of_another_machine_what_is_quiet_is_swept(tmp_path: Path) -> None:
    """Its locks may not be seen here."""
    young, old, inside = (tmp_path / f".sne-{name * 8}-00000000.tmp" for name in "abc")
    for path in (young, old, inside):
        path.mkdir()
        (path / "a").write_bytes(b"half")
        before = time.time() - 7200
        if path != inside:
            os.utime(path / "a", (before, before))
        if path != young:
            os.utime(path, (before, before))
    write_whole(tmp_path / "b", b"")
    assert set(left(tmp_path)) == {young.name, inside.name}


def test_without_locks_what_is_quiet_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    with hidden_folder(tmp_path) as first:
        before = time.time() - 7200
        with hidden_folder(tmp_path):
            assert first.is_dir()
        os.utime(first, (before, before))
        with hidden_folder(tmp_path):
            assert not first.is_dir()


def test_a_sweeper_that_was_faster_takes_nothing_that_is_used(tmp_path: Path) -> None:
    ended = threading.Event()

    def sweeping() -> None:
        while not ended.is_set():
            write_whole(tmp_path / "a", b"a")

    threads = [threading.Thread(target=sweeping) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(30):
            path = write_whole(tmp_path / "b", str(number).encode())
            assert path.read_bytes() == str(number).encode()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert left(tmp_path) == []
