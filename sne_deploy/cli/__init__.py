"""The commands, one file each, and nothing but the commands: what they do is in the rooms below.

What was asked for goes to stdout, everything else to stderr. An error is one line there, and a status:
2 for a wrong input or place, 1 for a run or a verification that failed; a stop signal's is 128 and its
number.
"""

from __future__ import annotations

import atexit
import gc
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from sne_deploy import stopping
from sne_deploy.cli import options as opt
from sne_deploy.cli import surroundings
from sne_deploy.cli.bench import bench_command
from sne_deploy.cli.compile import compile_command
from sne_deploy.cli.explore import explore_command
from sne_deploy.cli.init import init_command
from sne_deploy.cli.inspect import inspect_command
from sne_deploy.cli.map import map_command
from sne_deploy.cli.output import say
from sne_deploy.cli.report import report_command
from sne_deploy.cli.sections import SectionedCommand, SectionedGroup
from sne_deploy.cli.train import train_command
from sne_deploy.cli.validate import validate_command
from sne_deploy.text import visible

_SETTINGS: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None}

app = typer.Typer(
    name="sne",
    help="Compile spiking neural ensembles to Loihi: accuracy and energy before you have the chip.",
    cls=SectionedGroup,
    **_SETTINGS,
)


@app.callback()
def _options(version: opt.Version = False) -> None:
    """What stands before a command."""


app.command("compile", cls=SectionedCommand)(compile_command)
app.command("report", cls=SectionedCommand)(report_command)
app.command("inspect", cls=SectionedCommand)(inspect_command)
app.command("init", cls=SectionedCommand)(init_command)
app.command("train", cls=SectionedCommand)(train_command)
app.command("bench", cls=SectionedCommand)(bench_command)
app.command("map", cls=SectionedCommand)(map_command)
app.command("validate", cls=SectionedCommand)(validate_command)
app.command("explore", cls=SectionedCommand)(explore_command)

_compile_app = typer.Typer(**_SETTINGS)
_compile_app.command(cls=SectionedCommand)(compile_command)


SHORT_OF_MEMORY = (
    "close other programs, raise the limit (ulimit -v, the container's), or take a smaller model"
)


def main() -> int:
    """Run ``sne`` in this process; gives the exit status."""
    return run(app, "sne")


def compile_main() -> int:
    """Run ``sne-compile`` in this process: the same as ``sne compile``."""
    return run(_compile_app, "sne-compile")


def run(commands: typer.Typer, name: str) -> int:
    """Run a command; turn every error into one line and its exit status."""
    from sne_deploy.errors import SneError

    missing = surroundings.prepare()
    atexit.register(gc.freeze)  # else Python looks for garbage in all of PyTorch before it ends: 0.7 s
    arguments = sys.argv[1:]
    # The root of what typer raises for wrong arguments: its own in later releases, click's in earlier ones.
    usage_error: Any = typer.BadParameter.__mro__[1]
    if "--debug" in arguments:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    if missing is not None:
        return _fail(f"error: {missing}", 2, arguments)
    try:
        status = commands(args=arguments or ["--help"], prog_name=name, standalone_mode=False) or 0
        sys.stdout.flush()
    except usage_error as error:
        asked = name if error.ctx is None else error.ctx.command_path
        return _fail(f"error: {error.format_message().rstrip('.')}; see {asked} --help", 2, arguments)
    except SneError as error:
        return _fail(f"error: {error.lines[0]}", error.exit_status, arguments, error.lines[1:])
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:  # whoever read the output has gone, as in `sne report out | head -1`
        surroundings.throw_away()
        return 1
    except MemoryError:
        return _fail(f"error: out of memory; {SHORT_OF_MEMORY}", 1, arguments)
    except Exception as error:  # noqa: BLE001  the last resort: one line instead of a traceback
        refused = surroundings.of_the_system(error)
        if refused is not None:
            return _fail(f"error: {refused}", 2, arguments)
        line = f"error: internal error: {type(error).__name__}: {error}; --debug shows where"
        return _fail(line, 1, arguments)
    if status == 130:  # typer turns Ctrl-C into this
        say(stopping.word())
    return int(status)


def _fail(line: str, status: int, arguments: list[str], more: Sequence[str] = ()) -> int:
    if "--debug" in arguments:
        traceback.print_exc()
    for text in (line, *more):
        say(("" if text is line else "  ") + visible(" ".join(text.split())))
    return status
