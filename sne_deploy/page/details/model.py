"""``details.json``: what the page shows beyond ``report.json``; strict, bounded, written whole or not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from sne_deploy.errors import InputError
from sne_deploy.files import ensure_folder, is_folder, read_regular, write_whole
from sne_deploy.page.details.alternatives import AlternativesModel
from sne_deploy.page.details.chip import ChipModel
from sne_deploy.page.details.class_accuracy import ClassAccuracyModel
from sne_deploy.page.details.confusion import ConfusionModel
from sne_deploy.page.details.energy import StudentCountsModel
from sne_deploy.page.details.neurobench import NeurobenchModel
from sne_deploy.page.details.raster import RasterModel
from sne_deploy.page.details.students_needed import StudentsNeededModel
from sne_deploy.report.chip_schema import Model
from sne_deploy.report.file import REPORT_NAME
from sne_deploy.report.schema import ReportModel

DETAILS_NAME = "details.json"
MAX_DETAILS_BYTES = 2**26
_REMEDY = "run the model again with --out, or move this file away for a page without what it holds"


class Details(Model):
    """What a run showed beside its report; a part is null where the run cannot have it.

    Attributes
    ----------
    schema_version : str
    confusion : ConfusionModel or None
    class_accuracy : ClassAccuracyModel or None
        Null without labels, both.
    chip : ChipModel or None
        Null without a placement.
    alternatives : AlternativesModel or None
        Null without labels.
    layer_counts : tuple of StudentCountsModel
    neurobench : NeurobenchModel
    students_needed : StudentsNeededModel or None
    raster : RasterModel or None
        Null where the run kept no details, both.
    """

    schema_version: Literal["1.0"] = "1.0"
    confusion: ConfusionModel | None
    class_accuracy: ClassAccuracyModel | None
    chip: ChipModel | None
    alternatives: AlternativesModel | None
    layer_counts: tuple[StudentCountsModel, ...]
    neurobench: NeurobenchModel
    students_needed: StudentsNeededModel | None
    raster: RasterModel | None

    @model_validator(mode="after")
    def _fits(self) -> Details:
        placed = () if self.chip is None else self.chip.layers
        if any(layer.student >= len(self.layer_counts) for layer in placed):
            raise ValueError("a layer on the chip is of an unknown student")
        return self

    def __repr__(self) -> str:
        """Which parts there are."""
        parts = [name for name in type(self).model_fields if name != "schema_version"]
        return f"Details({', '.join(name for name in parts if getattr(self, name) is not None)})"

    __str__ = __repr__

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``details.json`` atomically; the file."""
        text = json.dumps(self.model_dump(mode="json"), allow_nan=False, separators=(",", ":")) + "\n"
        return write_whole(ensure_folder(folder) / DETAILS_NAME, text.encode())


def find_details(path: str | os.PathLike[str], report: ReportModel) -> Details | None:
    """Read the details beside a ``report.json``, or in its folder; None where there are none.

    Parameters
    ----------
    path : path
        Of the report, or of its folder.
    report : ReportModel
        What is there.

    Raises
    ------
    InputError
        They are there, and cannot be read, or are those of another run.
    """
    file = Path(path)
    beside = (file if is_folder(file) else file.parent) / DETAILS_NAME
    if not os.path.lexists(beside):
        return None
    details = load_details(beside)
    if _counted(details, report) != _reported(report):
        raise InputError(
            f"{beside} is of another run than {REPORT_NAME} beside it: other students, counts or samples; "
            f"{_REMEDY}"
        )
    return details


def _counted(details: Details, report: ReportModel) -> list[object]:
    """Of a run, what tells it from others: students, their layers and counts, labelled samples."""
    found: list[object] = [
        (
            student.name,
            [layer.name for layer in student.layers],
            sum(layer.synops for layer in student.layers),
            sum(layer.spikes for layer in student.layers),
        )
        for student in details.layer_counts
    ]
    confusion = details.confusion
    samples = report.data.samples if confusion is None else sum(confusion.labelled)
    return [*found, list(details.neurobench.students), samples]


def _reported(report: ReportModel) -> list[object]:
    found: list[object] = [
        (
            student.name,
            [layer.name for layer in student.layers],
            student.totals.synops,
            student.totals.spikes,
        )
        for student in report.students
    ]
    return [*found, [student.name for student in report.students], report.data.samples]


def load_details(path: str | os.PathLike[str]) -> Details:
    """Read ``details.json``, or the one in a folder.

    Raises
    ------
    InputError
        Missing, too large, or not such a file.
    """
    file = Path(path)
    if is_folder(file):
        file = file / DETAILS_NAME
    try:
        return Details.model_validate_json(read_regular(file, MAX_DETAILS_BYTES))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; run the model again with --out") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{file}: not the details of a run of this version: {where}: {first['msg']}; {_REMEDY}"
        ) from error
