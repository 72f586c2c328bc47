"""A report's teacher, and any other network, on other processors: made from what the report says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from sne_deploy.energy.processor import find_processors
from sne_deploy.errors import InputError
from sne_deploy.report.check import check_report
from sne_deploy.report.chip_figures import chip_figures
from sne_deploy.report.comparison import Network, comparison_model
from sne_deploy.report.file import Report
from sne_deploy.teacher.run import count_network

NO_NETWORK = (
    "--compare: there is no network to compare with; run with --teacher FILE.onnx, or give one with "
    "--compare-onnx FILE.onnx"
)
Names = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""What :func:`sne_deploy.energy.processor.find_processors` takes."""


def compared(
    report: Report, names: Names, networks: Sequence[Network] = (), *, rate_per_s: float | None = None
) -> Report:
    """The report with its comparison: a new one, nothing is run.

    Parameters
    ----------
    report : Report
        Of a run on the chip's integers; one with a teacher compares it.
    names : str, path or several
        Processors, as :func:`sne_deploy.energy.processor.find_processors` takes them.
    networks : sequence of Network
        Others beside the teacher, as :func:`other_networks` counts them.
    rate_per_s : float or None
        Inferences per second at which the energies are compared; the report's own where None.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        There is no network, or no count of updates; more inferences than the chip makes.
    HardwareError
        Unknown names or impossible files of processors.
    """
    processors = find_processors(names)
    teacher = report.teacher
    own = [] if teacher is None else [Network("the teacher", teacher.macs, teacher.uncounted)]
    several = [*own, *networks]
    if not several:
        raise InputError(NO_NETWORK)
    operation = report.operation
    rate = rate_per_s if rate_per_s is not None or operation is None else operation.rate_per_s
    model = comparison_model(several, processors, chip_figures(report), rate, report.unplaced)
    made = report.model_copy(update={"comparison": model})
    check_report(made)
    return made


def other_networks(paths: Iterable[str | os.PathLike[str]]) -> tuple[Network, ...]:
    """Networks that are counted at the sizes that they state themselves; see :func:`count_network`."""
    found = []
    for path in paths:
        macs = count_network(path)
        found.append(Network(Path(path).name, macs.total, macs.uncounted))
    return tuple(found)
