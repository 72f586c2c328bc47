"""``sne report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import say, show


def report_command(
    file: Annotated[
        Path, typer.Argument(help="A report.json, or the folder that holds one.", metavar="REPORT")
    ],
    compare: opt.Compare = None,
    compare_onnx: opt.CompareOnnx = None,
    rate: Annotated[
        float | None, typer.Option(help="Inferences a second for --compare; else those of the report.")
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write the page, report.html beside the report, too.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where --html writes the page.", metavar="FILE")] = None,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Print the table of a saved report; with --compare beside other processors, without running it again."""
    from sne_deploy.errors import InputError
    from sne_deploy.files import check_file
    from sne_deploy.page.details.model import find_details
    from sne_deploy.page.html.report import PAGE_NAME, report_html, save_page
    from sne_deploy.report.compare import compared, other_networks
    from sne_deploy.report.file import load_report
    from sne_deploy.report.table import report_view

    asked = compare is not None or bool(compare_onnx)
    if rate is not None and not asked:
        raise InputError("--rate is that of a comparison; add --compare, or leave it out")
    if out is not None and not html:
        raise InputError("--out is where --html writes; add --html, or leave it out")
    report = load_report(file)
    if asked:
        report = compared(report, compare or "all", other_networks(compare_onnx or ()), rate_per_s=rate)
    page = None
    if html:
        page = out or (file if file.is_dir() else file.parent) / PAGE_NAME
        check_file(page)
        save_page(report_html(report, find_details(file)), page)
    show(report_view(report))
    if page is not None:
        say(f"Written: {page}")
