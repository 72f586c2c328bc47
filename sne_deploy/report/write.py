"""``report.json`` on disk: there whole, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sne_deploy.files import atomic_path, ensure_folder
from sne_deploy.report.check import check_report
from sne_deploy.report.schema import Report

REPORT_NAME = "report.json"


def report_text(report: Report) -> str:
    """The file's text: keys in the order of the schema, ASCII only."""
    return json.dumps(report.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"


def save_report(report: Report, folder: str | os.PathLike[str]) -> Path:
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
    check_report(report)
    text = report_text(report)
    path = ensure_folder(folder) / REPORT_NAME
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
