"""What a kind of file is: good ones to start from, and what reads one as a command does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Read = Callable[[Path], int]


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes
    ----------
    name : str
        Of the file; it decides how it is read.
    seeds : tuple of bytes
        Good files.
    read : callable
        Reads one, in any process that may die of it; gives the status that a command would end with.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Read


def command(*arguments: str) -> Read:
    """``sne`` with these arguments, in which ``{}`` is the file and ``{0.parent}`` its folder."""

    def read(path: Path) -> int:
        from sne_deploy import cli

        sys.argv = ["sne", *(argument.format(path) for argument in arguments)]
        return cli.main()

    return read


def function(load: Callable[[Path], object]) -> Read:
    """What Python alone reads, or a command only deep in a run, with a command's way to end."""

    def read(path: Path) -> int:
        from sne_deploy.cli.output import say
        from sne_deploy.errors import SneError

        try:
            load(path)
        except SneError as error:
            say(f"error: {' '.join(str(error).split())}")
            return error.exit_status
        return 0

    return read


def beside(files: Mapping[str, bytes], read: Read) -> Read:
    """Read it beside these, by name."""

    def read_there(path: Path) -> int:
        for name, data in files.items():
            path.with_name(name).write_bytes(data)
        return read(path)

    return read_there
