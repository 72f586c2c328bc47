"""Write docs/commands: a page for each command, from what the command line itself says of its options.

What stands in a page outside the two marks is written by hand and kept.

usage: python scripts/write_commands.py [--check]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from sne_deploy.cli import app

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "commands"
BEGIN = "<!-- written by scripts/write_commands.py -->\n"
END = "<!-- end of what is written -->\n"
_INDEX = f"""\
{BEGIN}
# The commands

Each is `sne NAME`; `sne-compile` is `sne compile`. What was asked for goes to stdout, everything else to
stderr. Exit status: 0; 2 for a wrong input, with one line that says what is wrong; 1 for a run or a check
that failed; 130 on Ctrl-C. Progress bars appear on a terminal after two seconds. `--debug` shows tracebacks.

"""


def commands() -> Mapping[str, Any]:
    """The commands of ``sne``, by name."""
    group: Any = typer.main.get_command(app)
    return {name: command for name, command in group.commands.items() if not command.hidden}


def pages() -> Iterator[tuple[Path, str]]:
    """Every page that there must be, and its text."""
    found = commands()
    rows = [f"- [`sne {name}`]({name}.md): {summary(command)}" for name, command in found.items()]
    yield FOLDER / "index.md", _INDEX + "\n".join(rows) + "\n"
    for name, command in found.items():
        path = FOLDER / f"{name}.md"
        yield path, with_block(path.read_text("utf-8") if path.exists() else "", block(name, command))


def with_block(page: str, made: str) -> str:
    """Put the block between the marks of a page, or make a page of it."""
    _, begin, rest = page.partition(BEGIN)
    before, (_, end, after) = page[: -len(begin + rest) or None], rest.partition(END)
    return f"{before if begin else ''}{BEGIN}{made}{END}{after if end else ''}"


def summary(command: Any) -> str:
    """The first sentence of a command's help."""
    return " ".join(command.help.split("\n\n")[0].split())


def block(name: str, command: Any) -> str:
    """A command's title, what it does, usage, and its options in the groups of ``--help``."""
    context = command.context_class(command, info_name=f"sne {name}")
    groups: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = None if getattr(parameter, "hidden", False) else parameter.get_help_record(context)
        if record is not None:
            panel = getattr(parameter, "rich_help_panel", None) or _kind(parameter)
            groups.setdefault(panel, []).append(_row(*record))
    usage = " ".join([f"sne {name}", *command.collect_usage_pieces(context)])
    head = "| | | default, limits |\n|---|---|---|\n"
    tables = [f"## {panel}\n\n{head}" + "\n".join(rows) for panel, rows in groups.items()]
    paragraphs = [" ".join(each.split()) for each in command.help.split("\n\n")]
    parts = [f"# `sne {name}`", *map(_plain, paragraphs), f"```text\n{usage}\n```", *tables]
    return "\n" + "\n\n".join(parts) + "\n\n"


def _kind(parameter: Any) -> str:
    return "Arguments" if parameter.param_type_name == "argument" else "Options"


def _row(names: str, text: str) -> str:
    """A row of the table; what click adds at the end of a help text, in brackets, is a column of its own."""
    found = re.fullmatch(r"(.*?)(?:\s*\[((?:default|required|[^\[\]]*range|x[<>]).*)\])?", text, re.DOTALL)
    assert found is not None  # noqa: S101  both groups may be empty
    said, more = found[1], (found[2] or "").replace("default: ", "")
    names = re.sub(r" <[^<>]*>$", "", names)  # the type, where there is no word for it
    return f"| {_code(names)} | {_plain(said)} | {_code(more) if more and more != 'required' else more} |"


def _code(text: str) -> str:
    return f"`{' '.join(text.split())}`".replace("|", "\\|")


def _plain(text: str) -> str:
    """Help as Markdown: what would be a mark is none."""
    return re.sub(r"([<>*|`\[])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    from pages import keep

    FOLDER.mkdir(exist_ok=True)
    raise SystemExit(max([keep(path, made) for path, made in pages()]))
