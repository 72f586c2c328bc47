"""A report's figures as a data frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from sne_deploy import arguments as argument
from sne_deploy.energy.accounting import PARTS
from sne_deploy.errors import InputError
from sne_deploy.report.file import Report
from sne_deploy.report.schema import EnsembleModel, StudentModel

if TYPE_CHECKING:
    import pandas as pd

Rows = Literal["students", "layers"]
_COUNTS = (
    "synops_per_sample",
    "spikes_per_sample",
    "input_spikes_per_sample",
    "updates_active_per_sample",
    "updates_idle_per_sample",
    "host_macs_per_sample",
)
_CHIP = ("cores", "latency_s", "throughput_per_s", "messages_per_sample", "hops_per_sample")


def report_frame(report: Report, rows: Rows = "students") -> pd.DataFrame:
    """A row for each student and the ensemble, or for each layer; columns as in ``report.json``.

    Raises
    ------
    InputError
        pandas is not installed, or there are no such rows.
    """
    argument.choice("rows", rows, ("students", "layers"))
    try:
        import pandas as pd
    except ImportError as error:
        remedy = 'pip install "pandas>=2.2"'
        raise InputError(f"to_dataframe needs pandas, which is not installed: {remedy}") from error
    found = _students(report) if rows == "students" else _layers(report)
    return pd.DataFrame(
        [{name: math.nan if value is None else value for name, value in row.items()} for row in found]
    )


def _students(report: Report) -> Iterator[dict[str, Any]]:
    for student in report.students:
        yield _figures(student.name, "student", student.active_fraction, student)
    yield _figures("ensemble", "ensemble", None, report.ensemble)
    if report.teacher is not None:
        teacher = report.teacher
        found = dict.fromkeys(_figures("teacher", "teacher", None, report.ensemble))
        yield found | {
            "name": "teacher",
            "kind": "teacher",
            "accuracy": teacher.accuracy,
            "host_macs_per_sample": teacher.macs,
            "energy_host_j": teacher.energy_j,
            "energy_total_j": teacher.energy_j,
        }


def _figures(
    name: str, kind: str, active_fraction: float | None, each: StudentModel | EnsembleModel
) -> dict[str, Any]:
    energy = {part: getattr(each.energy_per_sample_j, part) for part in ("total", *PARTS)}
    return {
        "name": name,
        "kind": kind,
        "accuracy": each.accuracy,
        "active_fraction": active_fraction,
        **{count: getattr(each, count) for count in _COUNTS},
        **{f"energy_{part}_j": value for part, value in energy.items()},
        **{figure: getattr(each, figure) for figure in _CHIP},
    }


def _layers(report: Report) -> Iterator[dict[str, Any]]:
    for student in report.students:
        for layer in student.layers:
            yield {"student": student.name} | layer.model_dump(exclude={"worst_neuron"})
