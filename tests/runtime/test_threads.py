"""Chunks in threads: the same for every run, of one process alone, none at work when an error is raised."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from sne_deploy.runtime import threads
from sne_deploy.runtime.threads import run_in_chunks


@pytest.fixture(autouse=True)
def bounds_as_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What chunks give is joined as a list; what the tests start ends with them."""
    monkeypatch.setattr(threads, "join", list)
    yield
    threads._pool.cache_clear()


def in_chunks(run: Any) -> Any:
    return run_in_chunks(run, 6, 1, threads=3, name="s", progress=None)


def test_every_run_has_the_same_threads_and_none_ends() -> None:
    """Python before 3.11.9 may stop for good where one ends while a Dask worker's profiler looks at all."""
    together = threading.Barrier(3)

    def run(first: int, last: int) -> tuple[int, int, int]:
        together.wait(30)
        assert last == first + 1
        return first, threading.get_ident(), torch.get_num_threads()

    found = [in_chunks(run) for _ in range(3)]
    assert all([first for first, *_ in traces] == list(range(6)) for traces in found)
    used = [{ident for _, ident, _ in traces} for traces in found]
    assert len(used[0]) == 3
    assert used[0] == used[1] == used[2] < {thread.ident for thread in threading.enumerate()}
    assert {own for traces in found for *_, own in traces} == {1}


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # from Python 3.12 on
def test_a_fork_has_threads_of_its_own() -> None:
    in_chunks(lambda first, _: first)
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(in_chunks(lambda first, _: first) != list(range(6)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_is_at_work_once_an_error_is_raised() -> None:
    begun, ended = [], []

    def run(first: int, _: int) -> int:
        begun.append(first)
        if first == 0:
            raise KeyError(first)
        time.sleep(0.2)
        ended.append(first)
        return first

    with pytest.raises(KeyError):
        in_chunks(run)
    assert sorted(begun) == sorted([0, *ended])
