"""Files of every kind that is read, made bad in any way.

One warm process forks for each file: the fork gives it to the command that reads it, with a bound on the
memory that it may take beyond the warm process and on its time. What must come out is a result, or status 2
with one line that no terminal obeys.
"""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sne_deploy.text import visible
from tests.damage import Damage

SECONDS = 20
MOST_BYTES = 1 << 30
EXAMPLES = Path(__file__).parents[1] / "examples"
_CHIPS = Path(__file__).parents[1] / "sne_deploy" / "chips"
_WORDS = (
    "0 1 -1 1e400 -1e400 nan inf -inf 1e-320 1e308 true null {} [] '' . 0.5 2 3 7 255 65536 2147483648 a.b.c "
    "9223372036854775808 [[x]] 1979-05-27 = #"
)
ODD = (
    *_WORDS.split(),
    *("9" * 400, "0x" + "f" * 100, "[" * 2000, '"' + "x" * 5000 + '"', '"tcp://x"'),
    *('"\\u001b[31m"', "\x1b]0;gone\x07", "\udcff"),
)


@dataclass(frozen=True)
class Kind:
    """Files of one kind: good ones to start from, and the arguments that make a command read one."""

    suffix: str
    seeds: tuple[bytes, ...]
    arguments: Callable[[Path], list[str]]


def kinds(folder: Path) -> dict[str, Kind]:
    """Make good files; import all that their reading imports."""
    import nir
    import onnx
    import torch

    import sne_deploy as sne
    from sne_deploy.frontend.nir.file import write_nir
    from sne_deploy.report.file import load_report
    from tests.networks import lif_box

    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers = [torch.nn.Conv2d(1, 2, 3, stride=2), lif_box(), torch.nn.Flatten(), torch.nn.Linear(18, 10)]
    module = torch.nn.Sequential(*layers, lif_box())
    parts = {"input_shape": (1, 8, 8), "timesteps": 4}
    sne.ensemble([module], **parts, encoder=sne.Encoder("constant")).save(folder / "model.pt")
    x, y = np.random.default_rng(0).integers(0, 2, (3, 4, 1, 8, 8), np.uint8), np.array([1, 2, 3])
    np.savez(folder / "x.npz", x=x, y=y)
    images_of = {"x": x[:, 0].astype(np.float32), "y": y}
    np.savez_compressed(folder / "c.npz", **images_of)
    np.savez(folder / "image.npz", **images_of)
    spikes = sne.ensemble([module], **parts)
    with sne.compile(spikes, "netx", fidelity=False) as compiled:
        for student in compiled.programs:
            from sne_netx.backend import NetxBackend

            NetxBackend().write(student, folder)
            write_nir(folder / "a.nir", student.graph)
    with sne.compile(spikes, "loihi", fidelity=True) as compiled:
        compiled.run(x, y).save(folder / "out")
        compiled.save(folder / "kept.sne")
    load_report(folder / "out")
    info = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Conv", ["x", "k"], ["c"]),
        onnx.helper.make_node("Relu", ["c"], ["r"]),
        onnx.helper.make_node("Flatten", ["r"], ["f"]),
        onnx.helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    tensors = {"k": np.ones((2, 1, 7, 7), np.float32), "w": np.ones((8, 10), np.float32)}
    ends = [
        [info(name, onnx.TensorProto.FLOAT, shape)]
        for name, shape in (("x", ["N", 1, 8, 8]), ("y", ["N", 10]))
    ]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = onnx.helper.make_graph(nodes, "teacher", *ends, constants)
    opsets = [onnx.helper.make_opsetid("", 17)]
    teacher = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    assert nir.__version__

    model, images, spiking = (str(folder / name) for name in ("model.pt", "image.npz", "x.npz"))
    run = ["compile", "--target", "loihi", "--samples", "2"]
    graphs = ["--timesteps", "4", "--dt-s", "0.001", "--data", spiking]

    def bytes_of(*paths: Path) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() for path in paths)

    nets = sorted(folder.glob("*.net"))
    return {
        "model.pt": Kind(
            ".pt", bytes_of(folder / "model.pt"), lambda path: [*run, str(path), "--data", images]
        ),
        ".nir": Kind(".nir", bytes_of(folder / "a.nir"), lambda path: [*run, str(path), *graphs]),
        ".net": Kind(".net", bytes_of(*nets), lambda path: [*run, str(path), *graphs[:2], *graphs[4:]]),
        ".npz": Kind(
            ".npz",
            bytes_of(folder / "image.npz", folder / "c.npz"),
            lambda path: [*run, model, "--data", str(path)],
        ),
        ".onnx": Kind(
            ".onnx", (teacher,), lambda path: [*run, model, "--data", images, "--teacher", str(path)]
        ),
        "chip": Kind(
            ".toml",
            bytes_of(_CHIPS / "loihi1.toml", _CHIPS / "loihi2.toml"),
            lambda path: [*run, model, "--data", images, "--hardware", str(path)],
        ),
        "experiment": Kind(
            ".toml",
            bytes_of(EXAMPLES / "mnist" / "experiment.toml", EXAMPLES / "cifar10" / "experiment.toml"),
            lambda path: ["train", str(path), "--out", str(path.parent / "trained")],
        ),
        "report.json": Kind(
            ".json", bytes_of(folder / "out" / "report.json"), lambda path: ["report", str(path)]
        ),
        "compiled": Kind(".sne", bytes_of(folder / "kept.sne"), lambda path: ["kept", str(path)]),
    }


def mutated(kind: Kind, rng: np.random.Generator) -> bytes:
    """A good file, made bad."""
    data = kind.seeds[int(rng.integers(len(kind.seeds)))]
    others = list(kind.seeds)
    if kind.suffix in (".toml", ".json"):
        return _text(data, rng)
    if data.startswith(b"PK") and rng.random() < 0.75:  # with checksums that fit
        return _zip(data, rng)
    return Damage(data, others, np.arange(len(data)), rng).apply()[0]


def _zip(data: bytes, rng: np.random.Generator) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        entries = old.infolist()
        chosen = int(rng.integers(len(entries)))
        for index, entry in enumerate(entries):
            content = old.read(entry)
            if index == chosen and content:
                head = np.arange(min(len(content), 400))
                content = Damage(content, [content], head, rng).apply()[0]
            new.writestr(entry, content)
    return made.getvalue()


def _text(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode()
    for _ in range(int(rng.choice((1, 1, 2, 4)))):
        spots = [match.span() for match in re.finditer(r'-?\d[\d.e+-]*|"[^"\n]*"|\b\w+\b', text)]
        start, end = spots[int(rng.integers(len(spots)))] if spots else (0, 0)
        lines = text.splitlines()
        here = int(rng.integers(max(1, len(lines))))
        way = int(rng.integers(6))
        if way <= 2:
            text = text[:start] + ODD[int(rng.integers(len(ODD)))] + text[end:]
        elif way == 3:
            text = "\n".join(lines[:here] + lines[here + 1 :])
        elif way == 4:
            text = "\n".join([*lines[:here], lines[int(rng.integers(len(lines)))], *lines[here:]])
        else:
            text = text[:start] + text[end:]
        if not text:
            break
    return text.encode("utf-8", "surrogateescape")


def outcome(kind: Kind, path: Path) -> str:
    """Read a file in a fork: "result", "refused", or what went wrong."""
    said = path.with_name("said")
    start = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pid = os.fork()
    if pid == 0:
        _in_fork(kind, path, said)
    deadline = start + 3 * SECONDS  # the fork bounds its own processor time; the machine may be busy
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.wait4(pid, 0)
            return f"took longer than {3 * SECONDS} s"
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    text = said.read_text(errors="backslashreplace")
    if used.ru_maxrss - before > MOST_BYTES >> 10:
        return f"took {(used.ru_maxrss - before) >> 10} MiB"
    if code == 0:
        return "result"
    lines = [line for line in text.splitlines() if not line.startswith("Running the first")]
    if code == 2 and len(lines) == 1 and lines[0].startswith("error: ") and visible(lines[0]) == lines[0]:
        return "refused"
    return f"status {code}: {' / '.join(lines)[-400:]}"


def _in_fork(kind: Kind, path: Path, said: Path) -> None:
    from sne_deploy import cli

    status = 70
    try:
        stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MOST_BYTES, -1))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        arguments = kind.arguments(path)
        if arguments[0] == "kept":
            status = _take_up(path)
        elif arguments[0] == "train":
            status = _read_experiment(path)
        else:
            sys.argv = ["sne", *arguments]
            status = cli.main()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001  # as an interpreter that ends with it
        os.write(2, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(status)


def _take_up(path: Path) -> int:
    """What a command would do with a file that Python alone reads."""
    import sne_deploy as sne

    return _as_a_command(lambda: sne.load_compiled(path, "loihi").__exit__(None, None, None))


def _read_experiment(path: Path) -> int:
    from sne_deploy.distill.experiment import load_experiment

    return _as_a_command(lambda: load_experiment(path))


def _as_a_command(read: Callable[[], object]) -> int:
    from sne_deploy.cli.output import say
    from sne_deploy.errors import SneError

    try:
        read()
    except SneError as error:
        say("error: " + " ".join(str(error).split()))
        return error.exit_status
    return 0
