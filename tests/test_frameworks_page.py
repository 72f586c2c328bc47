"""docs/frameworks.md says what the table of conventions does, and names options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sne_deploy.frontend.nir.frameworks import CONVENTIONS, Convention
from tests.command_line import command
from tests.interop.live import BEGIN, END, LOST
from tests.interop.stored import names

PAGE = (Path(__file__).parents[1] / "docs" / "frameworks.md").read_text("utf-8")
TABLE, NETWORKS = PAGE.split(BEGIN)[0], PAGE.split(BEGIN)[1].split(END)[0]


def cells(name: str) -> list[str]:
    (row,) = (line for line in TABLE.splitlines() if line.startswith(f"| `{name}` |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_row_is_the_conventions(name: str) -> None:
    row: Convention = CONVENTIONS[name]
    _, dt_s, decay, gain, reset = cells(name)
    step, *implied = dt_s.split(", or ")
    assert (row.dt_s is None) == (step == "as the file implies")
    assert row.dt_s is None or float(step) == row.dt_s
    assert (implied == ["as the file implies"]) == (row.dt_is_given and row.dt_s is not None)
    assert decay == (row.decay or "")
    assert gain == (row.gain or "")
    modes = [mode if kind == "" else f"{mode} ({kind})" for kind, mode in row.resets.items()]
    assert reset == ", ".join(modes)


def test_every_option_and_command_exists() -> None:
    known = set(re.findall(r"--[a-z-]+", command("--help").stdout))
    assert set(re.findall(r"--[a-z][a-z-]*", TABLE)) <= known
    (line,) = (
        line for line in TABLE.splitlines() if line.startswith("    sne-compile ") and "--convention" in line
    )
    given = shlex.split(line)
    assert given[given.index("--convention") + 1] in CONVENTIONS


def test_every_framework_was_measured() -> None:
    rows = [line for line in NETWORKS.splitlines() if line.startswith("| ")][1:]
    packages = {row.split("|")[1].split()[0] for row in rows}
    assert packages == {"norse-main", *CONVENTIONS}
    results = [row.strip("| ").split("|")[-1].strip() for row in rows]
    assert sum(result == "0" for result in results) >= 60
    assert all(result == "0" or result.split(": ", 1)[1] in LOST.values() for result in results)
    assert len(rows) >= len(names())
