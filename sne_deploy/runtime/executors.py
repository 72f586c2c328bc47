"""Engines to run on: a pool of processes or a Dask cluster (distributed)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sne_deploy.errors import InputError
from sne_deploy.runtime.cluster import dask_cluster
from sne_deploy.runtime.engine import Engine
from sne_deploy.sandbox.pool import ProcessPool


def check_engine(workers: int | None, scheduler: str | None, timeout_s: float | None) -> None:
    """Refuse what does not go together, as :func:`open_engine` takes it; opens nothing.

    Raises
    ------
    InputError
        Both workers and a scheduler, fewer than one worker, or a timeout without a scheduler.
    """
    if workers is not None and scheduler is not None:
        raise InputError(f"--workers {workers} and --scheduler {scheduler} exclude each other; give one")
    if timeout_s is not None and scheduler is None:
        raise InputError(f"--timeout {timeout_s:g} is for the workers of a --scheduler; leave it out")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers} must be at least 1")


@contextmanager
def open_engine(
    workers: int | None, scheduler: str | None, timeout_s: float | None = None, targets: Sequence[str] = ()
) -> Iterator[Engine | None]:
    """Give the workers that were asked for; None for this process.

    Parameters
    ----------
    workers : int or None
        Processes of a pool on this machine; None or 1: this process.
    scheduler : str or None
        Address of a Dask scheduler, such as ``tcp://host:8786``; its workers have this project installed.
    timeout_s : float or None
        How long to be without any worker of the scheduler before giving up; None: for ever.
    targets : sequence of str
        Which the scheduler's workers must be able to run.

    Raises
    ------
    InputError
        Both given, fewer than one worker, or a scheduler that does not answer, has no workers or such that
        have other packages than this process.
    TargetError
        The engine is not installed.
    """
    check_engine(workers, scheduler, timeout_s)
    if scheduler is not None:
        with dask_cluster(scheduler, timeout_s, targets) as opened:
            yield opened
    elif workers is not None and workers > 1:
        with _processes(workers) as pool:
            yield Engine(pool, workers, here=True)
    else:
        yield None


def _processes(workers: int) -> ProcessPool:
    """Processes that each get their share of the cores."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return ProcessPool(workers, dict.fromkeys(names, threads))
