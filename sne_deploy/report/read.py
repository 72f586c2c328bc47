"""Read a saved ``report.json``: bounded, validated, checked."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from sne_deploy.errors import InputError, VerificationError
from sne_deploy.report.check import check_report
from sne_deploy.report.schema import Report
from sne_deploy.report.write import REPORT_NAME

MAX_REPORT_BYTES = 2**26


def load_report(path: str | os.PathLike[str]) -> Report:
    """Read ``report.json``, or the one in a folder.

    Raises
    ------
    InputError
        Missing, too large, not JSON, not a report of this version, or with sums that do not hold.
    """
    file = Path(path)
    if file.is_dir():
        file = file / REPORT_NAME
    try:
        size = file.stat().st_size
        if size > MAX_REPORT_BYTES:
            raise InputError(f"{file}: {size} bytes, more than a report's limit of {MAX_REPORT_BYTES}")
        report = Report.model_validate_json(file.read_bytes())
        check_report(report)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; give a report.json or its folder") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{file}: not a report of this version: {where}: {first['msg']}") from error
    except VerificationError as error:
        raise InputError(f"{file}: its figures contradict each other: {error}") from error
    return report
