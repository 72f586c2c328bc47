"""Measuring in a process of its own: a command that reads a pickled job and writes JSON."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sne_deploy.errors import RunError
from sne_deploy.sandbox import lifeline
from sne_deploy.sandbox.lifeline import Lifeline

CHILD_LIMIT_S = 900.0


def run_child(command: list[str], job: bytes, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run ``command JOB RESULT`` in a process group of its own, and read what it wrote.

    Raises
    ------
    RunError
        It failed, or took longer than :data:`CHILD_LIMIT_S`.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, taken, said = (Path(folder, name) for name in ("job", "result.json", "output"))
        given.write_bytes(job)
        with said.open("wb") as output:
            line = Lifeline()
            process = subprocess.Popen(  # our own scripts
                [sys.executable, "-I", "-S", lifeline.__file__, *command, str(given), str(taken)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {}), lifeline.VARIABLE: str(line.held)},
                pass_fds=(line.held,),
                start_new_session=True,
            )
            line.started()
            try:
                status = f"ended with status {process.wait(CHILD_LIMIT_S)}"
            except subprocess.TimeoutExpired:
                status = f"took longer than {CHILD_LIMIT_S:g} s"
            finally:
                _end_group(process)
                line.close()
        if process.returncode != 0:
            lines = [line for line in said.read_text(errors="replace").splitlines() if line.strip()]
            raise RunError(f"{' '.join(command[1:])}: {status}: {lines[-1] if lines else 'no output'}")
        document: dict[str, Any] = json.loads(taken.read_text())
        return document


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Lava's processes would outlive a failed run."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all ended by themselves
    finally:
        process.wait()


def call(module: str, *job: Any, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run ``python -m module`` on a job; the module's last lines are :func:`answer`."""
    return run_child([sys.executable, "-m", module], pickle.dumps(job), environment)


def answer(measure: Callable[..., dict[str, Any]]) -> None:
    """In the child: measure the job that the command line names, and write what was found."""
    job, result = sys.argv[1:]
    given = pickle.loads(Path(job).read_bytes())  # noqa: S301  # our own parent wrote it
    Path(result).write_text(json.dumps(measure(*given)))
