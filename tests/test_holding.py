"""A folder that one command works in: nobody else writes there, whatever happens to it."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy import files
from sne_deploy.errors import OutputError
from sne_deploy.files import held_folder, staged_folder, write_whole
from tests.command_line import command
from tests.networks import INPUT_SHAPE, network

HOLD = """
import os, subprocess, sys, time
from sne_deploy.files import held_folder
with held_folder(sys.argv[1]):
    child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    runs, told = os.pipe()
    forked = os.fork()
    if not forked:
        os.close(1)
        os.write(told, b"!")
        time.sleep(600)
    os.read(runs, 1)
    print(child.pid, forked, flush=True)
    time.sleep(600)
"""
EXPERIMENT = """
name = "tiny"
data = {source = "digits"}
teacher = {architecture = "mlp", width = 8, features = 8, schedule = {epochs = 1}}
[students]
count = 1
timesteps = 2
schedule = {epochs = 1}
layers = [{kind = "Flatten"}, {kind = "Linear", out = 8}, {kind = "LIFBoxCell"}, {kind = "Linear"},
          {kind = "LIBoxCell"}]
"""


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a folder, and has two children that outlive it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True, errors="replace"
    )
    children: list[int] = []
    try:
        assert process.stdout is not None
        children = [int(each) for each in process.stdout.readline().split()]
        assert len(children) == 2
        yield process
        assert all(Path(f"/proc/{child}").exists() for child in children)
    finally:
        for child in (process.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)
        process.communicate()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


COMMANDS = {
    "compile": ["compile", "none.pt", "--out", "OUT"],
    "compile --no-resume": ["compile", "none.pt", "--out", "OUT", "--no-resume"],
    "train": ["train", "e.toml", "--out", "OUT"],
    "train --work": ["train", "e.toml", "--out", "new", "--work", "OUT"],
    "report --html": ["report", "OUT", "--html"],
    "explore": ["explore", "none.pt", "--out", "out.json"],
    "bench": ["bench", "none.pt", "--out", "out.json"],
}


def test_a_second_command_is_refused_at_its_start_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads nothing of the run either: what it was given is not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    for folder in ("out", "out.json.work"):
        (tmp_path / folder / "work").mkdir(parents=True)
        (tmp_path / folder / "work" / "samples-0-1.npz").write_bytes(b"kept")
    before = content(tmp_path)
    with holder(tmp_path / "out") as first, holder(tmp_path / "out.json.work") as second:
        for name, line in COMMANDS.items():
            held, folder = (second, "out.json.work") if "out.json" in line else (first, "out")
            done = command(*(each.replace("OUT", "out") for each in line), name="sne")
            assert (done.status, done.stdout) == (2, ""), name
            assert done.stderr.startswith(f"error: {folder} is in use by process {held.pid} ("), name
            assert done.stderr.endswith("); wait until that has ended, or choose another folder\n"), name
            assert done.stderr.count("\n") == 1
        with pytest.raises(OutputError, match="out is in use"):
            sne.train("e.toml", "out")
        monkeypatch.setattr(files, "_PATIENCE_S", 0.0)
        with pytest.raises(OutputError, match=f"process {first.pid} "), staged_folder("out") as stage:
            write_whole(stage / "a", b"")
        other = command("compile", "none.pt", "--out", "other", name="sne")
        assert "none.pt" in other.stderr
        assert not Path("other").exists()
    assert content(tmp_path) == before


def test_a_holder_that_is_killed_lets_go_at_once(tmp_path: Path) -> None:
    with holder(tmp_path) as killed:
        killed.kill()
        killed.wait()
        with held_folder(tmp_path):
            pass


def test_files_of_two_writers_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, placed = Path.replace, []
    names, writers = ("a", "b", "c"), 3
    ready = threading.Barrier(writers)

    def replace(self: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            placed.append(threading.get_ident())
            threading.Event().wait(0.001)  # for others to come in between
        return real(self, target)

    def write(version: bytes) -> None:
        for _ in range(3):
            with staged_folder(tmp_path) as stage:
                for name in names:
                    write_whole(stage / name, version)
                ready.wait()

    monkeypatch.setattr(Path, "replace", replace)
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, (b"1", b"2", b"3")))
    assert len(placed) == 3 * 3 * len(names)
    assert all(len(list(those)) % len(names) == 0 for _, those in groupby(placed))
    assert len({(tmp_path / name).read_bytes() for name in names}) == 1


def test_a_thread_that_has_a_folder_has_it_within(tmp_path: Path) -> None:
    def other() -> None:
        with held_folder(tmp_path):
            pass

    with ThreadPoolExecutor(1) as pool:
        with held_folder(tmp_path):
            with held_folder(tmp_path), staged_folder(tmp_path) as stage:
                write_whole(stage / "a", b"a")
            with pytest.raises(OutputError, match=f"process {os.getpid()} "):
                pool.submit(other).result()
        pool.submit(other).result()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_nobody_is_refused(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with holder(tmp_path):
        monkeypatch.setattr("fcntl.flock", refused)
        with held_folder(tmp_path):
            pass


def test_a_folder_that_was_made_goes_with_a_failure(tmp_path: Path) -> None:
    made = tmp_path / "a" / "b"
    with pytest.raises(KeyError), held_folder(made):
        raise KeyError(made.is_dir())
    assert not list(tmp_path.iterdir())
    with held_folder(made):
        write_whole(made / "c", b"")
        with pytest.raises(KeyError), held_folder(tmp_path / "a" / "d"):
            raise KeyError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_folder_that_was_made_goes_with_a_stopped_command(tmp_path: Path) -> None:
    script = f"""
from sne_deploy import stopping
from sne_deploy.files import held_folder, staged_folder
with held_folder("{tmp_path}/a/b"), staged_folder("{tmp_path}/a/b") as stage:
    (stage / "c").mkdir()
    stopping._end(15)
"""
    assert subprocess.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL).returncode == 143
    assert not list(tmp_path.iterdir())


def test_two_that_fail_at_once_leave_no_lock_without_a_folder(tmp_path: Path) -> None:
    """One may remove the folder that the other is about to lock: who has it has the one that is there."""
    out = tmp_path / "a" / "out"

    def work(number: int) -> int:
        done = 0
        while done < 50:
            with contextlib.suppress(OutputError, KeyError), held_folder(out):
                write_whole(out / "mine", str(number).encode())
                assert (out / "mine").read_bytes() == str(number).encode()
                (out / "mine").unlink()
                done += 1
                raise KeyError
        return done

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [50] * 3


def test_a_run_is_saved_where_this_command_is_at_work(tmp_path: Path) -> None:
    given = sne.ensemble(
        [network("dense", 1)], input_shape=INPUT_SHAPE, timesteps=3, encoder=sne.Encoder("spikes")
    )
    with sne.compile(given, "loihi", fidelity=False) as compiled, held_folder(tmp_path):
        compiled.run(np.zeros((2, 3, *INPUT_SHAPE), np.uint8), work=tmp_path / "work").save(tmp_path)
    assert (tmp_path / "report.json").is_file()
