"""Disks that are full, at every size, and files that may grow no further: for every kind of output."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.part import Part, Trial

SIZES = 64
KINDS = 10
MODEL = str(Path(__file__).parents[3] / "examples" / "digits" / "model.pt")
EXPLORATION = ("--samples", "20", "--thresholds", "3")
TRAINING = """
name = "tiny"
threads = 1
data = {source = "digits", validation = 40, train_samples = 60}
teacher = {architecture = "mlp", width = 8, features = 8, schedule = {epochs = 2}}
[students]
count = 2
timesteps = 2
schedule = {epochs = 2}
layers = [
    {kind = "Flatten"}, {kind = "Linear", out = 8}, {kind = "LIFBoxCell"},
    {kind = "Linear"}, {kind = "LIBoxCell"},
]
"""
Act = Callable[[Path], Any]


@dataclass(frozen=True)
class Kind:
    """A kind of output.

    Attributes
    ----------
    write : callable
        Called with the folder that is to get it, in a fork.
    resumed : str
        A file of what goes on where it was, with the bytes as if nothing had happened. Of all others
        every file has the same bytes each time.
    """

    write: Act
    resumed: str = ""


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        known = _kinds(base)
        assert len(known) == KINDS
        good: dict[str, dict[str, bytes]] = {}
        for index in indices:
            case = list(known)[index % len(known)]
            if case not in good:
                folder = base / f"good {case}"
                folder.mkdir()
                status, said = _in_fork(known[case], folder)
                assert status == 0, f"{case}, with room enough: status {status}: {said}"
                good[case] = _content(folder)
            yield _trial(case, index, known[case], good[case], base, seed)


def _trial(case: str, index: int, kind: Kind, good: dict[str, bytes], base: Path, seed: int) -> Trial:
    """Half of the trials are on a small disk, which is empty before; half beside whole files of before."""
    number = index // KINDS
    share = (int(f"{number // 2 % SIZES:06b}"[::-1], 2) / SIZES + (index + seed) % KINDS / KINDS) % 1
    folder = base / f"trial {index}"
    folder.mkdir()
    if number % 2 or _no_disks():
        before = {} if kind.resumed else good
        for path, data in before.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        limit = int(share * max(len(data) for data in good.values()))
        status, said = _in_fork(kind, folder, limit)
        found = _wrong(status, said, folder, kind, good)
        if not found and (gone := sorted(set(before) - set(_content(folder)))):
            found = f"gone: {gone}"
        found = found or _resumed(status, kind, folder, good)
    else:
        pages = sum(2 + len(data) // 4096 for data in good.values())
        with _disk(folder, 4 + 4 * int(share * pages)) as grow:
            status, said = _in_fork(kind, folder)
            found = _wrong(status, said, folder, kind, good)
            grow()
            found = found or _resumed(status, kind, folder, good)
    return Trial(case, index, found, ended="" if found else "written" if status == 0 else "refused")


def _resumed(status: int, kind: Kind, folder: Path, good: dict[str, bytes]) -> str:
    """What is not as promised of a run that was refused and is made again with room enough."""
    if status == 0 or not kind.resumed:
        return ""
    status, said = _in_fork(kind, folder)
    if status or (folder / kind.resumed).read_bytes() != good[kind.resumed]:
        return f"again, with room enough: status {status}: {said.splitlines()[-1]}"
    return ""


def _wrong(status: int, said: str, folder: Path, kind: Kind, good: dict[str, bytes]) -> str:
    """What is not as promised, in one line."""
    shown = " / ".join(said.splitlines())[-300:]
    hidden = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith(".")]
    if hidden:
        return f"left, with status {status}: {hidden}: {shown}"
    left = _content(folder)
    strange = [path for path, data in left.items() if not kind.resumed and good.get(path) != data]
    if strange:
        return f"other content, with status {status}: {strange}: {shown}"
    if status == 0:
        missing = [] if kind.resumed else sorted(set(good) - set(left))
        return f"status 0 without {missing}" if missing else ""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if status != 2 or len(errors) != 1 or errors[0] != said.splitlines()[-1] or "internal error" in said:
        return f"status {status}: {shown}"
    return "" if "cannot write" in errors[0] and "Traceback" not in said and "ignored" not in said else shown


def _content(folder: Path) -> dict[str, bytes]:
    """What is in every file, but for how long it took."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: re.sub(rb'"wall_s": [-+.e0-9]+', b"", path.read_bytes()) for name, path in files.items()}


def _in_fork(kind: Kind, folder: Path, limit: int | None = None) -> tuple[int, str]:
    """The status of a fork that writes as a command would, and what it says on stderr."""
    sys.stdout.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            os.dup2(writing, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")  # as new: what they were may seek
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            from sne_deploy import cli

            sys.argv = ["sne"]

            def command(**_: Any) -> int:
                given = kind.write(folder)
                return given if isinstance(given, int) else 0

            commands: Any = command  # it is only called
            status = cli.run(commands, "sne")
        except BaseException:  # noqa: BLE001  it is a fork, which must not go on
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, errors="backslashreplace") as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def _kinds(base: Path) -> dict[str, Kind]:
    """Every kind of output by its name; what they need is imported here, so that forks have it."""
    import torch

    import sne_deploy as sne
    from sne_deploy.data import digits_split
    from sne_deploy.distill import command as training  # noqa: F401
    from sne_deploy.distill.training.resume import ResumePoint
    from sne_netx.backend import NetxBackend
    from tests.net_programs import chain

    torch.set_num_threads(1)
    _, _, x, y = digits_split()
    ensemble = sne.load(MODEL)
    experiment = base / "tiny.toml"
    experiment.write_text(TRAINING)
    state = {"tensor": torch.arange(20_000)}

    compiled = sne.compile(ensemble, "loihi", fidelity=False)
    result = compiled.run(x[:3], y[:3])
    result.save(base / "report")
    program, _ = chain("d", "current", "count")
    return {
        "result": Kind(lambda folder: result.save(folder / "out")),
        "report.html": Kind(_command("report", str(base / "report"), "--html", "--out", "out.html")),
        "compiled.sne": Kind(lambda folder: compiled.save(folder / "compiled.sne")),
        "model.pt": Kind(lambda folder: ensemble.save(folder / "model.pt")),
        "student.net": Kind(lambda folder: NetxBackend().write(program, folder)),
        "pictures": Kind(_command("inspect", MODEL, "--svg", "out")),
        "experiment.toml": Kind(_command("init", "--data", "digits", "--out", "out.toml", "--force")),
        "exploration": Kind(_command("explore", MODEL, *EXPLORATION, "--out", "out.json")),
        "state.pt": Kind(lambda folder: ResumePoint(folder / "state.pt", "any").write(state)),
        "training": Kind(_command("train", str(experiment), "--out", "out"), resumed="out/model.pt"),
    }


def _command(*words: str) -> Act:
    def act(folder: Path) -> Any:
        from sne_deploy import cli

        os.chdir(folder)
        sys.argv = ["sne", *words]
        return cli.app(args=sys.argv[1:], prog_name="sne", standalone_mode=False)

    return act


@contextmanager
def _disk(folder: Path, kib: int) -> Iterator[Callable[[], object]]:
    """A disk of this size on a folder, which grows when what is given is called."""
    mount = ["mount", "-t", "tmpfs", "tmpfs", folder, "-o"]
    subprocess.run([*mount, f"size={kib}k"], check=True)
    try:
        yield lambda: subprocess.run([*mount, "remount,size=1g"], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)


@functools.cache
def _no_disks() -> bool:
    """Whether nothing may be mounted here; mounts are seen by this process alone, and end with it."""
    own = sys.platform == "linux" and ctypes.CDLL(None).unshare(_CLONE_NEWNS) == 0
    try:
        if not own or subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode:
            return True
        with tempfile.TemporaryDirectory() as name, _disk(Path(name), 4):
            return False
    except (OSError, subprocess.CalledProcessError):
        return True


_CLONE_NEWNS = 0x00020000  # linux/sched.h

PART = Part(
    name="disks",
    promise="A disk that is full at any size, or a file that may grow no further, is status 2 with one line; "
    "what was there before is still there, every file is whole, and nothing else is left.",
    how=f"Every kind of output is written to {SIZES} sizes of disk (tmpfs, where one can be mounted), from "
    "one page to all that is needed, and beside whole files of before with as many limits of a file's size "
    "(RLIMIT_FSIZE), down to none; in forks of one warm process, through the command line's own ending. "
    "A training that was refused is made again with room enough, to the same model.",
    run=_run,
    short=KINDS - 1,  # all but a training, which takes longest
    full=2 * SIZES * KINDS,
    found=(
        "HDF5 ends with a segmentation fault where it closes a file on a full disk; it writes to memory now.",
    ),
)
