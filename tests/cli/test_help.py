"""Help, version and completion."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from sne_deploy import cli
from sne_deploy.cli.sections import COMMANDS
from tests.command_line import command

NAMES = [name for names in COMMANDS.values() for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_every_option_once_and_what_it_takes_in_capitals(name: str) -> None:
    text = command(name, "--help", name="sne").stdout
    shown = re.findall(r"^  (--[a-z0-9-]+)(?: / --no-[a-z-]+)?(?: ([^ ]+))?(?:  |$)", text, re.MULTILINE)
    params = typer.main.get_command(cli.app).commands[name].params  # type: ignore[attr-defined]
    known = {param.opts[0]: param for param in params if param.param_type_name == "option"}
    assert sorted(option for option, _ in shown) == sorted({*known, "--help"})
    for option, takes in shown:
        if option == "--help" or known[option].is_flag:
            assert takes == "", option
        else:
            assert re.fullmatch(r"[A-Z0-9_.,]+(\.[a-z]+)?", takes), (option, takes)


def test_commands_stand_under_what_they_are_for() -> None:
    text = command("--help", name="sne").stdout
    positions = [text.index(f"\n{heading}:\n") for heading in COMMANDS]
    assert positions == sorted(positions)
    for name in NAMES:
        assert re.search(rf"^  {name}  ", text, re.MULTILINE), name


@pytest.mark.parametrize(("name", "before"), [("sne", []), ("sne-compile", []), ("sne", ["compile"])])
def test_version(name: str, before: list[str]) -> None:
    found = command(*before, "--version", name=name)
    assert (found.status, found.stdout) == (0, f"sne-deploy {version('sne-deploy')}\n")


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [("sne", "sne exp", "explore"), ("sne-compile", "sne-compile --weight", "--weight-bits")],
)
def test_the_shell_completes(name: str, words: str, expected: str) -> None:
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    environment = os.environ | {variable: "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "1"}
    found = subprocess.run(
        [Path(sys.executable).with_name(name)], env=environment, capture_output=True, text=True
    )
    assert found.stdout.split() == [expected], found.stderr


@pytest.mark.parametrize(
    ("name", "words", "asked"),
    [
        ("sne", ["init"], "sne init"),
        ("sne", ["train"], "sne train"),
        ("sne", ["nothing"], "sne"),
        ("sne-compile", ["--nothing"], "sne-compile"),
    ],
)
def test_a_wrong_use_names_the_help_of_its_own_command(name: str, words: list[str], asked: str) -> None:
    found = command(*words, name=name)
    assert found.status == 2
    assert found.stderr.endswith(f"; see {asked} --help\n")
