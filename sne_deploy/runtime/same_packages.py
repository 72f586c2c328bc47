"""Workers that compute the same as this process: the same Python and packages, and the targets that run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

from sne_deploy.backend import Needy, load_backend
from sne_deploy.errors import InputError, TargetError
from sne_deploy.runtime.packages import PROJECT, installed, that_decide

SCHEDULER = "the Dask scheduler"
ASK_S = 30
"""Workers that have not said by then what they have are not waited for."""

_INSTALLED = "{n: next((d.version for d in metadata.distributions(name=n)), None) for n in names}"
"""An expression of the standard library alone, since a worker may have nothing of this project."""


def refuse_other_packages(client: Any, workers: Sequence[str], targets: Sequence[str]) -> None:
    """Ask a scheduler, which reads what is submitted, and workers what they have installed.

    Parameters
    ----------
    client : distributed.Client
    workers : sequence of str
        Their addresses.
    targets : sequence of str

    Raises
    ------
    InputError
        Some have another version than this process, or lack something: the first of them, and what.
    """
    names = that_decide(targets)
    given = (_INSTALLED, {"metadata": metadata, "names": names})
    ours = {"Python": platform.python_version(), **installed(names)}
    pythons = _answers(client, workers, platform.python_version)
    theirs = _answers(client, workers, eval, *given)
    problems = [
        f"{who} {problem}"
        for who in pythons
        if who in theirs
        for problem in differing(ours, {"Python": pythons[who], **theirs[who]})
    ]
    if not problems:
        ready = _answers(client, workers, what_is_missing, tuple(targets))
        problems = [f"{who}: {missing}" for who, missing in ready.items() if missing and who != SCHEDULER]
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise InputError(f"{problems[0]}{more}")


def _answers(
    client: Any, workers: Sequence[str], function: Callable[..., Any], *given: Any
) -> dict[str, Any]:
    """What the scheduler answers, and those of the workers that still are there."""
    try:
        found = {SCHEDULER: client.run_on_scheduler(function, *given, callback_timeout=ASK_S)}
        some = client.run(function, *given, workers=workers, on_error="return", callback_timeout=ASK_S)
    except Exception as error:  # its transports raise whatever they do
        raise InputError(
            f"the Dask scheduler and its workers do not say within {ASK_S} s what they have installed "
            f"({type(error).__name__}); see their logs, and start again what hangs"
        ) from error
    there = {f"worker {worker}": said for worker, said in some.items() if not isinstance(said, Exception)}
    return found | there


def differing(ours: Mapping[str, str | None], theirs: Mapping[str, str | None]) -> list[str]:
    """What another process has otherwise; of Python the minor version, of the others all but a build's tag.

    Parameters
    ----------
    ours, theirs : dict of package to version
        None: not installed. A package that only one of the two has matters where it is this project itself.
    """
    problems = []
    for name, version in ours.items():
        other = theirs.get(name)
        if name == PROJECT and other is None:
            problems.append(f"has no {name}, and this process {name} {version}; install the same there")
        elif version is not None and other is not None and _core(name, version) != _core(name, other):
            problems.append(
                f"has {name} {other}, and this process {name} {version}; install the same in both"
            )
    return problems


def _core(name: str, version: str) -> str:
    return version.rpartition(".")[0] if name == "Python" else version.partition("+")[0]


def what_is_missing(targets: Sequence[str]) -> str | None:
    """On a worker: why a target cannot run here; None where all can."""
    try:
        for target in targets:
            backend = load_backend(target)
            if isinstance(backend, Needy):
                backend.require()
    except TargetError as error:
        return str(error)
    return None
