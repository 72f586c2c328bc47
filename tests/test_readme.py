"""The README's Python runs as it stands, and what it says about the commands is true."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from sne_deploy.chips.chip import load_chip
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.neurons.table import CELLS
from tests.command_line import command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_there_is_python_to_run() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_a_block_runs_as_a_script(index: int, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = tmp_path / "block.py"
    script.write_text(BLOCKS[index])
    found = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout


def test_every_option_is_in_the_table() -> None:
    options = set(re.findall(r"--[a-z-]+", command("--help").stdout)) - {"--help"}
    table = "\n".join(line for line in README.splitlines() if line.startswith("| `--"))
    assert set(re.findall(r"--[a-z-]+", table)) == options


def test_every_layer_target_and_constant_is_named() -> None:
    listed = re.sub(r"`(\w+)1d/2d`", r"`\g<1>1d` `\g<1>2d`", README)
    for kind in LAYER_KINDS:
        norses = kind not in CELLS or CELLS[kind].module == "norse.torch"  # ours are in their model's file
        assert not norses or f"`{kind}`" in listed, kind
    for entry in entry_points(group="sne_deploy.backends"):
        assert f"`{entry.name}`" in README, entry.name
    constants = load_chip("loihi1").constants("energy", "host")
    for name in ("synop", "update_active", "update_idle", "spike_within_tile"):
        assert f"{constants[f'energy.{name}'].value:g}" in README
    assert f"| {constants['host.mac'].value:g} |" in README


def test_every_file_it_names_exists() -> None:
    names = re.findall(r"`((?:sne_deploy|examples|docs|scripts)/[\w./]+\.\w+)`|\]\(([\w./]+)\)", README)
    assert names
    for first, second in names:
        assert (ROOT / (first or second)).is_file(), first or second
