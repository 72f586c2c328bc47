"""Running a script of the benchmark in a process of its own: it reads a job and writes a result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sne_deploy.errors import RunError

CHILD_LIMIT_S = 900.0


def run_script(
    command: list[str], job: bytes, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run ``command JOB RESULT`` in a process group of its own, and read its result.

    Parameters
    ----------
    command : list of str
    job : bytes
        Written to JOB; a pickle that the script reads.
    environment : mapping or None
        None: this process's own.

    Raises
    ------
    RunError
        It failed, or took longer than :data:`CHILD_LIMIT_S`.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder, "job"), Path(folder, "result.json")
        given.write_bytes(job)
        with Path(folder, "output").open("w+b") as output:
            process = subprocess.Popen(  # our own scripts
                [*command, str(given), str(taken)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(os.environ if environment is None else environment),
                start_new_session=True,
            )
            try:
                status: int | None = process.wait(CHILD_LIMIT_S)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end_group(process)
            if status != 0:
                output.seek(0)
                raise RunError(_why(command, status, output.read().decode(errors="replace")))
        document: dict[str, Any] = json.loads(taken.read_text())
        return document


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all ended by themselves
    finally:
        process.wait()


def _why(command: list[str], status: int | None, output: str) -> str:
    how = f"took longer than {CHILD_LIMIT_S:g} s" if status is None else f"ended with status {status}"
    lines = [line for line in output.splitlines() if line.strip()]
    return f"{' '.join(command[1:])}: {how}: {lines[-1] if lines else 'no output'}"
