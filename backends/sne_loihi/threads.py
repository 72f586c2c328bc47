"""Chunks of samples in threads of this process: each computes alone, and none waits for another.

PyTorch's own threads and a compiler's would meet after every operation; their waiting costs whole time
slices as soon as another process wants the same cores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
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


def in_threads(work: Callable[[int, int], T], bounds: Sequence[tuple[int, int]], threads: int) -> list[T]:
    """``work(first, last)`` for all bounds, in their order; inside :func:`all_threads`."""
    count = min(threads, len(bounds))
    if count <= 1:
        return [work(first, last) for first, last in bounds]
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(lambda both: work(*both), bounds))
