"""``sne report``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import say, show


def report_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="A report.json, or the folder that holds one; several are shown side by side.",
            metavar="REPORT...",
        ),
    ],
    compare: opt.Compare = None,
    compare_onnx: opt.CompareOnnx = None,
    rate: Annotated[
        float | None, typer.Option(help="Inferences a second for --compare; else those of the report.")
    ] = None,
    html: Annotated[
        bool,
        typer.Option(
            "--html", help="Write the page, too: report.html beside the report, or comparison.html here."
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where --html writes the page.", metavar="FILE")] = None,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Print the table of a saved report, or several side by side; nothing is run again.

    With --compare a report stands beside other processors.
    """
    from sne_deploy.errors import InputError

    asked = compare is not None or bool(compare_onnx)
    if rate is not None and not asked:
        raise InputError("--rate is that of a comparison; add --compare, or leave it out")
    if out is not None and not html:
        raise InputError("--out is where --html writes; add --html, or leave it out")
    if len(files) > 1:
        if asked:
            raise InputError(
                f"--compare puts one report beside processors, not {len(files)}; give one, or leave it out"
            )
        _several(files, html=html, out=out)
        return
    _one(files[0], compare, compare_onnx, rate, asked=asked, html=html, out=out)


def _one(
    file: Path,
    compare: str | None,
    compare_onnx: list[Path] | None,
    rate: float | None,
    *,
    asked: bool,
    html: bool,
    out: Path | None,
) -> None:
    from sne_deploy.files import check_file, held_folder, is_folder
    from sne_deploy.page.details.model import find_details
    from sne_deploy.page.html.report import PAGE_NAME, report_html, save_page
    from sne_deploy.report.compare import compared, other_networks
    from sne_deploy.report.file import load_report
    from sne_deploy.report.table import report_view

    page = None
    with ExitStack() as resources:
        if html:
            folder = file if is_folder(file) else file.parent
            page = out or folder / PAGE_NAME
            if out is None and is_folder(folder):  # the page is one of the files of a run
                resources.enter_context(held_folder(folder))
        report = load_report(file)
        if asked:
            report = compared(report, compare or "all", other_networks(compare_onnx or ()), rate_per_s=rate)
        if page is not None:
            check_file(page)
            save_page(report_html(report, find_details(file, report)), page)
    show(report_view(report))
    if page is not None:
        say(f"Written: {page}")


def _several(files: list[Path], *, html: bool, out: Path | None) -> None:
    from sne_deploy.files import check_file
    from sne_deploy.page.details.model import find_details
    from sne_deploy.page.figures.runs import DetailedRun
    from sne_deploy.page.html.report import save_page
    from sne_deploy.page.html.runs import RUNS_NAME, runs_html
    from sne_deploy.report.file import load_report
    from sne_deploy.report.side_by_side import Run, side_by_side
    from sne_deploy.report.side_by_side_table import SideBySideView

    names = [_name(files, index) for index in range(len(files))]
    runs = [Run(name, load_report(file)) for name, file in zip(names, files, strict=True)]
    found = side_by_side(runs)
    page = None
    if html:
        page = out or Path(RUNS_NAME)
        check_file(page)
        detailed = [
            DetailedRun(run.name, run.report, find_details(file, run.report))
            for run, file in zip(runs, files, strict=True)
        ]
        save_page(runs_html(found, detailed), page)
    show(SideBySideView(found))
    if page is not None:
        say(f"Written: {page}")


def _name(files: list[Path], index: int) -> str:
    """A run's path; with a number where it was given before."""
    before = files[:index].count(files[index])
    return f"{files[index]} ({before + 1})" if before else str(files[index])
