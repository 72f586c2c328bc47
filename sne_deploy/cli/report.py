"""``sne report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import show


def report_command(
    file: Annotated[
        Path, typer.Argument(help="A report.json, or the folder that holds one.", metavar="REPORT")
    ],
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Print the table of a saved report."""
    from sne_deploy.report.file import load_report
    from sne_deploy.report.table import report_view

    show(report_view(load_report(file)))
