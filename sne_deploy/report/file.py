"""``report.json`` on disk: there whole, or not at all; read bounded, validated and checked."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from sne_deploy.brief import brief
from sne_deploy.errors import InputError, VerificationError
from sne_deploy.files import ensure_folder, is_folder, read_regular, write_whole
from sne_deploy.report.check import check_report
from sne_deploy.report.older import is_older, upgraded
from sne_deploy.report.schema import SCHEMA_VERSION, ReportModel

REPORT_NAME = "report.json"
MAX_REPORT_BYTES = 2**26


class Report(ReportModel):
    """``report.json``."""

    def __repr__(self) -> str:
        """What it is of; ``print(result.table())`` shows it."""
        names = {each: getattr(self, each) for each in ("model", "target", "precision")}
        said = ", ".join(f"{name}={brief(value)}" for name, value in names.items())
        return f"Report({said}, data={brief(self.data.name)}, samples={self.data.samples}, ...)"

    __str__ = __repr__

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Check the report's sums and write ``report.json`` atomically.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        VerificationError
            A sum does not hold; nothing is written.
        OutputError
            The folder cannot be made or written.
        """
        check_report(self)
        return write_whole(ensure_folder(folder) / REPORT_NAME, report_text(self).encode())


def report_text(report: Report) -> str:
    """The file's text: keys in the order of the schema, ASCII only."""
    return json.dumps(report.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"


def load_report(path: str | os.PathLike[str]) -> Report:
    """Read ``report.json``, or the one in a folder; one of schema 1 gets a null for all that came later.

    Parameters
    ----------
    path : path

    Returns
    -------
    Report
        Checked: its sums hold.

    Raises
    ------
    InputError
        Missing, too large, not JSON, not a report of this version, or with sums that do not hold.
    """
    file = Path(path)
    if is_folder(file):
        file = file / REPORT_NAME
    try:
        report = Report.model_validate_json(_of_today(read_regular(file, MAX_REPORT_BYTES)))
        check_report(report)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; give a report.json or its folder") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{file}: not a report of this version ({SCHEMA_VERSION}): {where}: {first['msg']}; "
            "run the model again"
        ) from error
    except VerificationError as error:
        raise InputError(f"{file}: its figures contradict each other: {error}") from error
    return report


def _of_today(text: bytes) -> bytes | str:
    """A report's text, an older one's in the form of this version; what is no JSON is left to the model."""
    try:
        document = from_json(text)
        return json.dumps(upgraded(document)) if is_older(document) else text
    except ValueError:
        return text
