"""What is printed cannot command the terminal, wherever a name in it comes from."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from sne_deploy.cli.output import _escaped, say, show
from sne_deploy.progress import ProgressBars, TrainingBars
from sne_deploy.text import visible
from tests.command_line import command

HOSTILE = "a\x1b[2J\x1b]0;gone\x07\x9b31m\u202eb\udcff"
SHOWN = "a\\x1b[2J\\x1b]0;gone\\x07\\x9b31m\\u202eb\\udcff"


def table() -> Table:
    found = Table("name")
    found.add_row(HOSTILE, style="red")
    return found


def test_a_line_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"error: {HOSTILE}")
    assert capsys.readouterr().err == f"error: {SHOWN}\n"
    assert visible("Größe, 名前\nnext") == "Größe, 名前\nnext"


def test_a_table_is_escaped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show(table())
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert visible(out) == out
    assert "gone" in out


def test_on_a_terminal_the_colours_stay_and_names_have_none() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system="standard")
    console.print(_escaped(console, table()), end="")
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[31m" in out  # red
    for command_of_a_terminal in ("\x1b[2J", "\x1b]0;", "\x07", "\x9b", "\u202e"):
        assert command_of_a_terminal not in out


def test_bars_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingBars() as bars:
        bars(HOSTILE, 1, 2, {})
    assert "\x1b" not in capsys.readouterr().err
    with ProgressBars(delay_s=0.0) as progress:
        progress._console = Console(file=io.StringIO(), force_terminal=True)
        progress(HOSTILE, 1, 2)
        out = progress._console.file.getvalue()
    assert "\x1b]0;" not in out


def test_a_file_s_name_is_escaped_in_every_command(tmp_path: Path) -> None:
    name = str(tmp_path / "a\x1b]0;gone\x07.pt")
    for arguments in ([name], [name, "--debug"]):
        found = command(*arguments, "--target", "norse")
        assert found.status == 2
        assert "\\x1b]0;gone\\x07" in found.stderr
        assert visible(found.stderr) == found.stderr
