"""Where the commands print."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sne_deploy.text import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.segment import Segments

FILE_WIDTH = 110
"""Columns of a table that goes to a file or a pipe, where nothing else says how wide it is."""


def say(line: str) -> None:
    """Print a line to stderr, without anything that a terminal would obey."""
    print(visible(line), file=sys.stderr)  # noqa: T201  the command line may print


def show(view: RenderableType) -> None:
    """Print to stdout: as wide as the terminal, or as COLUMNS says, or wide enough for the whole table.

    Names in it are escaped where they hold what a terminal would obey; the table's own colours are not.
    """
    from rich.console import Console

    if sys.stdout.isatty():
        console = Console()
        console.print(_escaped(console, view), end="")
        return
    console = Console(width=None if "COLUMNS" in os.environ else FILE_WIDTH)
    with console.capture() as captured:
        console.print(_escaped(console, view), end="")
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _escaped(console: Console, view: RenderableType) -> Segments:
    from rich.segment import Segment, Segments

    return Segments(
        [part if part.control else Segment(visible(part.text), part.style) for part in console.render(view)]
    )
