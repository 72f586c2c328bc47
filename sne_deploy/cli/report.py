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
    compare: opt.Compare = None,
    compare_onnx: opt.CompareOnnx = None,
    rate: Annotated[
        float | None, typer.Option(help="Inferences a second for --compare; else those of the report.")
    ] = None,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Print the table of a saved report; with --compare beside other processors, without running it again."""
    from sne_deploy.errors import InputError
    from sne_deploy.report.compare import compared, other_networks
    from sne_deploy.report.file import load_report
    from sne_deploy.report.table import report_view

    asked = compare is not None or bool(compare_onnx)
    if rate is not None and not asked:
        raise InputError("--rate is that of a comparison; add --compare, or leave it out")
    report = load_report(file)
    if asked:
        report = compared(report, compare or "all", other_networks(compare_onnx or ()), rate_per_s=rate)
    show(report_view(report))
