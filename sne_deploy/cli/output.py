"""Where the commands print."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

FILE_WIDTH = 110
"""Columns of a table that goes to a file or a pipe, where nothing else says how wide it is."""


def say(line: str) -> None:
    """Print a line to stderr."""
    with contextlib.suppress(OSError):  # it is full: nowhere is left to say so but the status
        print(line, file=sys.stderr, flush=True)  # noqa: T201  the command line may print


def show(view: RenderableType) -> None:
    """Print to stdout: as wide as the terminal, or as COLUMNS says, or wide enough for the whole table."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(view)
        return
    console = Console(width=None if "COLUMNS" in os.environ else FILE_WIDTH)
    with console.capture() as captured:
        console.print(view)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
