"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES = 2**31 - 1


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed for the next tensor, instead of returning it to the kernel.

    A training frees and allocates the same large tensors in every step; fetching them from the kernel again,
    page by page, costs up to a third of a step. Only glibc can be asked; says whether it was.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
