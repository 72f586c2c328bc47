"""Every command that writes or starts processes, as short as it can be."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
MARK = "SNE_TORTURE_TRIAL"
EXPERIMENT = """
name = "tiny"
threads = 1
side_by_side = {beside}
data = {{source = "digits", validation = 40, train_samples = 100}}
teacher = {teacher}
[students]
count = 2
timesteps = 2
schedule = {{epochs = 6}}
layers = [{{kind = "Flatten"}}, {{kind = "Linear", out = 8}}, {{kind = "LIFBoxCell"}}, {{kind = "Linear"}},
          {{kind = "LIBoxCell"}}]
"""
TEACHER = "{architecture = 'mlp', width = 8, features = 8, schedule = {epochs = 3}}"
KEPT_AT_ONCE = """\
import sys
from sne_deploy.stopping import end_at_signals
end_at_signals()
from sne_deploy import cli
from sne_deploy.runtime import kept, slices
kept.KEEP_S, kept.FIRST_SAMPLES, kept.GOAL_S, slices.SLICE_BYTES = 0.0, 3, 1.0, 2**16
sys.argv[0] = "sne"
sys.exit(cli.main())
"""
"""``sne``, with slices as small as those of a run of hours are beside the whole."""


@dataclass(frozen=True)
class Command:
    """What is killed, in a folder of its own.

    Attributes
    ----------
    name : str
    line : str
        Its arguments, of ``sne``; ``IN`` stands for the folder that :func:`make_inputs` has filled.
    children : bool
        Whether it starts processes: it is at work only while there is one.
    same : tuple of str
        Files that have the same bytes as those of an undisturbed run, once it was run again.
    again : str
        What the line has more when it is run again.
    resumes : bool
        Whether what a killed run leaves, whatever killed it, is to be gone on from.
    kept : bool
        Whether it keeps its work slice by slice from the beginning.
    experiment : str
        What stands in ``e.toml``.
    """

    name: str
    line: str
    children: bool = True
    same: tuple[str, ...] = ()
    again: str = ""
    resumes: bool = False
    kept: bool = False
    experiment: str = ""


_COUNTED = ("out/predictions.npz",)
_SMALL = "--data IN/x.npz"
_PICKED = "--target-accuracy 1% --out p.json --write m.pt"
_GRAPH = f"{_SMALL} --timesteps 4"


def _compile(name: str, line: str, children: bool = True, resumed: bool = False) -> Command:
    line = f"compile {line} --out out"
    return Command(f"compile, {name}", line, children, _COUNTED, resumes=resumed, kept=resumed)


def _train(name: str, beside: int, teacher: str, children: bool) -> Command:
    experiment = EXPERIMENT.format(beside=beside, teacher=teacher)
    same = ("out/model.pt", "out/training.jsonl")
    return Command(name, "train e.toml --out out", children, same, resumes=True, experiment=experiment)


_ONNX = DIGITS / "teacher.onnx"
COMMANDS = (
    _compile("loihi, workers", f"IN/model.pt --target loihi {_SMALL} --workers 2"),
    _compile("norse, workers", f"IN/model.pt --target norse {_SMALL} --workers 2"),
    _compile("lava", f"IN/model.pt --target lava {_SMALL}"),
    _compile("netx", f"IN/student0.net --target netx --samples 2 {_GRAPH}"),
    _compile("loihi, .nir", f"IN/a.nir --target loihi --dt-s 0.001 {_GRAPH}"),
    _compile("loihi, .net", f"IN/student0.net --target loihi {_GRAPH}"),
    _compile("loihi, teacher", f"{DIGITS / 'model.pt'} --target loihi --samples 20 --teacher {_ONNX}"),
    _compile("loihi, resumed", f"{DIGITS / 'model.pt'} --target loihi --samples 40", False, True),
    _compile("lava, resumed", f"IN/model.pt --target lava {_SMALL} --save kept.sne", resumed=True),
    Command("compile, --save", f"compile IN/model.pt --target loihi {_SMALL} --save kept.sne", False),
    _train("train", 1, TEACHER, False),
    _train("train, side by side", 2, TEACHER, True),
    _train("train, ONNX", 1, f"{{onnx = '{_ONNX}'}}", True),
    Command(
        "explore",
        f"explore {DIGITS / 'model.pt'} --samples 40 --bits 4,8 {_PICKED}",
        False,
        ("m.pt",),
        resumes=True,
        kept=True,
    ),
    Command(
        "explore, workers",
        f"explore {DIGITS / 'model.pt'} --samples 20 --workers 2 {_PICKED}",
        same=("m.pt",),
    ),
    Command(
        "bench", f"bench IN/model.pt --target lava {_SMALL} --samples 2 --rounds 1 --seconds 0.1 --out b.json"
    ),
    Command("map", "map IN/a.nir --timesteps 4 --dt-s 0.001 --json"),
    Command("inspect", "inspect IN/a.nir --timesteps 4 --dt-s 0.001 --svg a.svg", same=("a.svg",)),
    Command(
        "report", f"report IN/out --compare all --compare-onnx {_ONNX} --html --out p.html", same=("p.html",)
    ),
    Command("init", "init --data digits --out e.toml", False, ("e.toml",), again=" --force"),
)


def make_inputs(folder: Path) -> None:
    """One small student, as every kind of file, samples for it, and a report."""
    import numpy as np

    from tests.torture.files.kinds import write_spiking

    x, y = np.random.default_rng(0).integers(0, 2, (6, 4, 1, 8, 8), np.uint8), np.arange(6)
    np.savez(folder / "x.npz", x=x, y=y)
    write_spiking(folder, "model.pt", x, y)


def start(command: Command, inputs: Path, folder: Path, more: str = "") -> subprocess.Popen[bytes]:
    """Start it in a folder, which is in the environment of all its processes."""
    work, temporary = folder / "work", folder / "tmp"
    work.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    if command.experiment:
        (work / "e.toml").write_text(command.experiment)
    arguments = [word.replace("IN/", f"{inputs}/") for word in (command.line + more).split()]
    program = [str(Path(sysconfig.get_path("scripts"), "sne"))]
    if command.kept:
        program = [sys.executable, "-c", KEPT_AT_ONCE]
    return subprocess.Popen(
        [*program, *arguments],
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, MARK: str(folder), "TMPDIR": str(temporary)},
        start_new_session=True,
    )


if __name__ == "__main__":
    make_inputs(Path(sys.argv[1]))
