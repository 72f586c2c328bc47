"""docs/commands is what the command line says of itself; what is written by hand beside it is kept."""

from __future__ import annotations

import re

import pytest

from scripts import write_commands
from tests.command_line import command

PAGES = dict(write_commands.pages())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_what_the_script_writes(path: write_commands.Path) -> None:
    assert path.is_file(), f"{path.name} is missing; run python scripts/write_commands.py"
    assert path.read_text("utf-8") == PAGES[path], "run python scripts/write_commands.py"


def test_no_page_is_of_a_command_that_is_gone() -> None:
    assert set(write_commands.FOLDER.glob("*.md")) == set(PAGES)


@pytest.mark.parametrize("which", write_commands.commands())
def test_every_option_is_in_its_table(which: str) -> None:
    asked = re.findall(
        r"^\W*(?:-\w,? +)?(--[a-z][a-z0-9-]*)", command(which, "--help", name="sne").stdout, re.MULTILINE
    )
    made = write_commands.block(which, write_commands.commands()[which])
    listed = re.findall(r"^\| `(?:-\w, )?(--[a-z][a-z0-9-]*)", made, re.MULTILINE)
    assert sorted(listed) == sorted(asked)


def test_text_outside_the_marks_is_kept() -> None:
    page = f"before\n{write_commands.BEGIN}old\n{write_commands.END}after\n"
    made = write_commands.with_block(page, "new\n")
    assert made == f"before\n{write_commands.BEGIN}new\n{write_commands.END}after\n"
    assert write_commands.with_block("", "new\n") == f"{write_commands.BEGIN}new\n{write_commands.END}"
