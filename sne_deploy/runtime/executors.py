"""Engines to run on: a pool of processes or a Dask cluster (distributed)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from urllib.parse import urlsplit

from sne_deploy.errors import InputError, TargetError
from sne_deploy.sandbox.pool import ProcessPool

CLUSTER_REMEDY = 'pip install "sne-deploy[cluster]"'
CONNECT_TIMEOUT_S = 10
PROTOCOLS = ("tcp", "tls", "ucx", "ws", "wss")
RETRIES = 3
"""How often Dask repeats a unit of work whose worker died."""


@contextmanager
def open_executor(workers: int | None, scheduler: str | None) -> Iterator[tuple[Executor, int] | None]:
    """Give an executor and its number of workers; None for this process.

    Parameters
    ----------
    workers : int or None
        Processes of a pool on this machine; None or 1: this process.
    scheduler : str or None
        Address of a Dask scheduler, such as ``tcp://host:8786``; its workers have this project installed.

    Raises
    ------
    InputError
        Both given, fewer than one worker, or a scheduler that does not answer or has no workers.
    TargetError
        The engine is not installed.
    """
    if workers is not None and scheduler is not None:
        raise InputError(f"--workers {workers} and --scheduler {scheduler} exclude each other; give one")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers} must be at least 1")
    if scheduler is not None:
        with _dask(scheduler) as opened:
            yield opened
    elif workers is not None and workers > 1:
        with _processes(workers) as pool:
            yield pool, workers
    else:
        yield None


def _processes(workers: int) -> ProcessPool:
    """Processes that each get their share of the cores."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return ProcessPool(workers, dict.fromkeys(names, threads))


def _check_address(scheduler: str) -> None:
    """Refuse what is no address, and where nobody listens, before a client is made, which is hard to stop."""
    try:
        parts = urlsplit(scheduler)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if not host or not port or scheme not in PROTOCOLS:
        raise InputError(
            f"--scheduler {scheduler!r} is no address of a Dask scheduler; give one such as tcp://host:8786"
        )
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise _no_answer(scheduler, error) from error


def _no_answer(scheduler: str, error: Exception) -> InputError:
    return InputError(
        f"no Dask scheduler answers at {scheduler!r} within {CONNECT_TIMEOUT_S} s "
        f"({type(error).__name__}); start one with `dask scheduler`"
    )


@contextmanager
def _dask(scheduler: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client
    except ImportError:
        raise TargetError(
            f"--scheduler needs distributed, which is not installed: {CLUSTER_REMEDY}"
        ) from None
    _check_address(scheduler)
    try:
        client = Client(scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except Exception as error:  # its transports raise whatever they do
        raise _no_answer(scheduler, error) from error
    try:
        workers = sum(client.nthreads().values())
        if not workers:
            raise InputError(
                f"the Dask scheduler at {scheduler!r} has no workers; start some with `dask worker`"
            )
        yield client.get_executor(pure=False, retries=RETRIES), workers
    finally:
        client.close()
