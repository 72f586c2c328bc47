"""The code in README.md and docs/ runs as it stands, page by page; every command in them exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.frontend.nir.file import write_nir
from sne_netx import NetxBackend
from tests.command_line import Outcome, command
from tests.docs.pages import ELSEWHERE, PAGES, README, ROOT, Block, blocks, name

RUN = [page for page in PAGES if name(page) not in ELSEWHERE and blocks(page)]
COMMANDS = ("sne", "sne-compile")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the reader of a how-to has: a model, a teacher, data, files of other frameworks."""
    folder = tmp_path_factory.mktemp("reader")
    digits = ROOT / "examples" / "digits"
    shutil.copy(digits / "model.pt", folder)
    shutil.copy(digits / "teacher.onnx", folder)
    _, _, x, y = digits_split()
    np.savez(folder / "images.npz", x=x[:40], y=y[:40])
    spikes = np.random.default_rng(0).random((10, 16, 6)) < 0.3
    np.savez(folder / "spikes.npz", x=spikes.astype(np.uint8), y=np.arange(10) % 3)
    with sne.compile(small_spiking(), "netx", fidelity=False) as compiled:
        (file, *_) = NetxBackend().write(compiled.programs[0], folder)
        file.rename(folder / "network.net")
        graph = compiled.programs[0].graph
    write_nir(folder / "net.nir", nir.NIRGraph(dict(graph.nodes), list(graph.edges)))  # says nothing more
    return folder


def small_spiking() -> sne.Ensemble:
    """A network that takes six channels of spikes and tells three classes apart."""
    import norse.torch as snn
    import torch

    torch.manual_seed(0)
    layers = torch.nn.Linear(6, 12), snn.LIFBoxCell(), torch.nn.Linear(12, 3), snn.LIFBoxCell()
    return sne.ensemble(snn.SequentialState(*layers), input_shape=6, timesteps=16)


def test_pages_have_code() -> None:
    assert README in RUN
    assert len(RUN) >= 9
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    reasons = {name(page): block.not_run for page in RUN for block in blocks(page) if block.not_run}
    assert len(reasons) <= 3, reasons
    assert all(len(reason) > 10 for reason in reasons.values()), reasons


@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")  # torch.onnx.export, of itself
@pytest.mark.parametrize("page", [page for page in RUN if page != README], ids=name)
def test_a_page_runs_from_top_to_bottom(
    page: Path, reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(reader, tmp_path / "reader")
    for shared in ("examples", "sne_deploy"):
        (folder / shared).symlink_to(ROOT / shared)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if not block.not_run:
            exec(compile(block.first, f"{name(page)} (before)", "exec"), names)  # noqa: S102  our own page
            RUNNERS[block.language](block, names)


def run_python(block: Block, names: dict[str, Any]) -> None:
    exec(compile(block.code, "a page", "exec"), names)  # noqa: S102  our own page


def run_commands(block: Block, _: dict[str, Any]) -> None:
    for line in block.code.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program in COMMANDS, line
        outcome = command(*arguments, name=program)
        assert outcome.status == 0, (line, outcome.stderr)
        assert outcome.stdout or outcome.stderr, line


RUNNERS: Mapping[str, Callable[[Block, dict[str, Any]], None]] = {"python": run_python, "sh": run_commands}


def test_the_readme_runs_as_a_script(tmp_path: Path) -> None:
    """In a process of its own, with nothing imported before."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (block,) = blocks(README)
    (tmp_path / "block.py").write_text(block.code)
    found = subprocess.run(
        [sys.executable, "block.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout


@pytest.fixture(scope="module")
def helps() -> Callable[[str], Outcome]:
    """The help of a command, asked for once."""
    known: dict[str, Outcome] = {}

    def of(which: str) -> Outcome:
        if which not in known:
            known[which] = command(which, "--help", name="sne")
        return known[which]

    return of


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_and_option_exists(page: Path, helps: Callable[[str], Outcome]) -> None:
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4})?(sne(?:-compile)? .+)$", text, re.MULTILINE)
    for line in lines + re.findall(r"`(sne(?:-compile)? [^`\n]+)`", text):
        words = line.split()
        which = "compile" if words[0] == "sne-compile" else words[1]
        if not re.fullmatch("[a-z]+", which):  # `sne --version`, `sne NAME`
            continue
        found = helps(which)
        assert found.status == 0, (line, found.stderr)
        options = set(re.findall(r"--[a-z][a-z0-9-]*", found.stdout))
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line)) <= options, line
