"""Chunks of samples in threads of this process: each computes alone, and none waits for another.

PyTorch's own threads and a compiler's would meet after every operation; their waiting costs whole time
slices as soon as another process wants the same cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache

import torch

from sne_deploy.backend import Progress
from sne_deploy.runtime.trace import Trace, join

_ONE_AT_A_TIME = threading.RLock()
"""A run uses all cores itself."""


@contextmanager
def all_threads() -> Iterator[int]:
    """For one caller at a time, as many threads as PyTorch is set to use; itself it then uses one."""
    with _ONE_AT_A_TIME:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield threads
        finally:
            torch.set_num_threads(threads)


def run_in_chunks(
    run: Callable[[int, int], Trace],
    samples: int,
    size: int,
    *,
    threads: int,
    name: str,
    progress: Progress | None,
) -> Trace:
    """Run consecutive chunks of samples and join them in order; inside :func:`all_threads`.

    Parameters
    ----------
    run : callable
        ``run(first, last)`` gives the Trace of these samples; it is called from several threads.
    samples, size : int
        Samples in all, and at most per chunk: fewer where some thread would have none.
    threads : int
    name : str
        The student's, for ``progress``.
    progress : callable or None
    """
    size = max(1, min(size, -(-samples // threads)))
    bounds = [(n, min(n + size, samples)) for n in range(0, samples, size)] or [(0, 0)]
    done, lock = 0, threading.Lock()

    def run_chunk(both: tuple[int, int]) -> Trace:
        nonlocal done
        trace = run(*both)
        with lock:
            done += both[1] - both[0]
            if progress is not None:
                progress(name, done, samples)
        return trace

    if min(threads, len(bounds)) <= 1:
        return join([run_chunk(both) for both in bounds])
    futures = [_pool(threads).submit(run_chunk, both) for both in bounds]
    try:
        return join([future.result() for future in futures])
    finally:
        for future in futures:
            future.cancel()
        wait(futures)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay.

    One that begins or ends while all are looked at, as the profiler of a Dask worker does, may stop the
    process for good in Python before 3.11.9 (https://github.com/python/cpython/issues/106883).
    """
    return ThreadPoolExecutor(threads, "sne-chunks", initializer=torch.set_num_threads, initargs=(1,))


os.register_at_fork(after_in_child=_pool.cache_clear)
