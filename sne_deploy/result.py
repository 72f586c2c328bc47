"""What a run of a compiled ensemble gives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from sne_deploy import arguments as argument
from sne_deploy.backend import FileWriter, load_backend
from sne_deploy.errors import InputError
from sne_deploy.runtime.result import RunResult, StudentResult

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from sne_deploy.page.details.model import Details
    from sne_deploy.page.figure import Figure
    from sne_deploy.page.source import Source
    from sne_deploy.report.file import Report
    from sne_deploy.report.frame import Rows
    from sne_deploy.report.table import ReportView

Array = npt.NDArray[Any]
STUDENTS = "students"
"""The folder of the students' files."""
STUDENT_FILES = ("{}.nir", "{}.net", "{}_driver.py")
"""What a run writes of a student there, by the student's name."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A run and its report.

    Attributes
    ----------
    run : RunResult
        Exact counts of every sample.
    report : Report
        Their means, and what they cost: the content of ``report.json``.
    source : Source
        The model and the samples that it is of.
    work : Path or None
        The folder in which the run was kept, which :meth:`save` removes.
    """

    run: RunResult
    report: Report
    source: Source
    work: Path | None = None

    def __repr__(self) -> str:
        """Students, ensemble, teacher and the chief figures, in at most 20 lines."""
        from sne_deploy.report.summary import summary_text

        return summary_text(self.report)

    def _repr_html_(self) -> str:
        from sne_deploy.report.summary import summary_html

        return summary_html(self.report)

    def table(self) -> ReportView:
        """The table that the commands print: text as ``str``, a table in a notebook and for ``rich``.

        Returns
        -------
        ReportView
        """
        from sne_deploy.report.table import report_view

        return report_view(self.report)

    def to_dataframe(self, rows: Rows = "students") -> pd.DataFrame:
        """The report's figures as a pandas data frame.

        Parameters
        ----------
        rows : {"students", "layers"}
            A row for each student, the ensemble and the teacher, or for each layer. Columns are named as in
            ``report.json``, with their units; what is not modelled is missing, never 0.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        InputError
            pandas is not installed.
        """
        from sne_deploy.report.frame import report_frame

        return report_frame(self.report, rows)

    @cached_property
    def details(self) -> Details:
        """What the page shows beyond the report; found at the first use, for which samples run again."""
        from sne_deploy.page.details.collect import collect

        return collect(self.source)

    def figure(self, name: str) -> Figure:
        """One figure of the page.

        Parameters
        ----------
        name : str
            Of :data:`sne_deploy.page.figures.table.FIGURES`.

        Returns
        -------
        Figure

        Raises
        ------
        InputError
            There is no such figure, or this run cannot have it.
        """
        from sne_deploy.page.figure import Absent
        from sne_deploy.page.figures.table import FIGURES

        figure = FIGURES[argument.choice("figure", name, tuple(FIGURES))](self.report, self.details)
        if isinstance(figure, Absent):
            raise InputError(f"figure {name!r}: {figure.reason}")
        return figure

    @property
    def students(self) -> tuple[StudentResult, ...]:
        """Counts, outputs and recorded spikes of every student."""
        return self.run.students

    @property
    def logits(self) -> Array:
        """Float64 array of shape (N, classes)."""
        return self.run.logits

    @property
    def predictions(self) -> Array:
        """Int64 array of shape (N,)."""
        return self.run.predictions

    @property
    def active(self) -> Array:
        """Bool array of shape (N, students)."""
        return self.run.active

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct predictions; None without labels."""
        return self.run.accuracy

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``report.json``, the page ``report.html``, ``details.json``, ``predictions.npz``, students.

        Students are NIR files and what else the target writes. All are written before the first gets its
        place, which ``report.json`` gets last: on a disk that is full, none does;
        :func:`sne_deploy.report.predictions.load_predictions` reads the predictions. What was kept of the
        run on its way is removed, and the files of students of an earlier run in the folder, which its
        ``report.json`` names.

        Parameters
        ----------
        folder : path
            Made where there is none.
        """
        from sne_deploy.files import ensure_folder, staged_folder
        from sne_deploy.frontend.nir.file import write_nir
        from sne_deploy.page.html.report import PAGE_NAME, report_html, save_page
        from sne_deploy.report.file import REPORT_NAME
        from sne_deploy.report.predictions import Predictions, save_predictions
        from sne_deploy.runtime.work import forget

        backend = load_backend(self.report.target)
        with staged_folder(folder, last=(PAGE_NAME, REPORT_NAME), replaced=_student_files) as stage:
            students = ensure_folder(stage / STUDENTS)
            for student in self.students:
                write_nir(students / f"{student.name}.nir", student.program.graph)
                if isinstance(backend, FileWriter):
                    backend.write(student.program, students)
            found = Predictions(self.predictions, self.logits, self.active, self.run.labels)
            save_predictions(found, stage)
            self.details.save(stage)
            save_page(report_html(self.report, self.details), stage / PAGE_NAME)
            self.report.save(stage)
        if self.work is not None:
            forget(self.work)


def _student_files(folder: Path) -> Iterator[str]:
    """Files of students that the run which a folder holds may have written, as its report names them."""
    for name in _students_of(folder):
        if isinstance(name, str) and name not in ("", ".", "..") and "/" not in name:
            yield from (f"{STUDENTS}/{each.format(name)}" for each in STUDENT_FILES)


def _students_of(folder: Path) -> list[Any]:
    """Names of the students in a folder's report, of any version; none where there is no such report."""
    from sne_deploy.files import read_regular
    from sne_deploy.report.file import MAX_REPORT_BYTES, REPORT_NAME

    try:
        found = json.loads(read_regular(folder / REPORT_NAME, MAX_REPORT_BYTES))
        return [student["name"] for student in found["students"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # damaged, or no report
        return []
