"""Help in sections: options and commands under the headings that they name as their panel."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

_KIND = re.compile(r"<(?:list\[)?(\w+)(?: range)?\]?>")
_METAVARS = {"int": "N", "float": "X", "path": "PATH", "str": "TEXT"}
"""What an option without a metavar of its own takes, by its type; ``bool`` takes nothing."""
_OTHER = {"--help", "--version", "--debug"}
COMMANDS = {
    "Deploy": ("compile", "report", "explore", "map"),
    "Make a model": ("init", "train"),
    "Look closer": ("inspect", "validate", "bench"),
}


def _metavar(found: re.Match[str]) -> str:
    return _METAVARS.get(found[1].lower(), "")


class SectionedCommand(TyperCommand):
    """A command whose options stand in the sections that they name; its own alone come first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what the command takes, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        other: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            is_argument = param.param_type_name == "argument"
            names = _KIND.sub("" if is_argument else _metavar, record[0]).rstrip()
            panel = getattr(param, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
            rows = other if names in _OTHER else sections.setdefault(panel, [])
            rows.append((names, record[1]))
        sections["Other"] = other
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class SectionedGroup(TyperGroup):
    """Commands in sections, each with its whole first sentence."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what each command does; one that no section names is a fault."""
        named = [name for names in COMMANDS.values() for name in names]
        assert sorted(named) == sorted(self.list_commands(ctx)), "COMMANDS lists other commands"  # noqa: S101
        for heading, names in COMMANDS.items():
            found = {name: self.get_command(ctx, name) for name in names}
            rows = [(name, each.get_short_help_str(200)) for name, each in found.items() if each is not None]
            with formatter.section(heading):
                formatter.write_dl(rows)
