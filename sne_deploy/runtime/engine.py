"""Whose workers run the students, and what becomes of one who waits for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from dataclasses import dataclass
from typing import Any

from sne_deploy.errors import RunError


def lost_worker(error: Exception) -> RunError | None:
    """What an error means that came instead of a result; None where it is the unit of work's own."""
    if isinstance(error, (BrokenExecutor, CancelledError, OSError)):
        return RunError(f"a worker was lost ({type(error).__name__}: {error}); run it again")
    return None


def _nothing() -> None: ...


def as_it_is(data: bytes) -> bytes:
    """What units of work share, sent with each of them; on a cluster, a unit of work that gives it."""
    return data


@dataclass(frozen=True)
class Engine:
    """Workers that are there or are not.

    Attributes
    ----------
    executor : concurrent.futures.Executor
        Its workers have this project installed.
    workers : int
        How many units of work run at a time.
    check : callable
        Is called each second while one waits for a result; raises RunError once that is in vain.
    lost : callable
        As `lost_worker`.
    share : callable
        Takes bytes that many units of work need; gives what is submitted in their place, and arrives as they
        are.
    here : bool
        Whether the workers are processes of this machine.
    """

    executor: Executor
    workers: int
    check: Callable[[], None] = _nothing
    lost: Callable[[Exception], RunError | None] = lost_worker
    share: Callable[[bytes], Any] = as_it_is
    here: bool = False
