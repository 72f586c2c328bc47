"""Functions that numba compiles, kept for the next process wherever that can be done.

numba's ``cache=True`` is an error where neither the installation nor the user's own cache folder can be
written, and where the disk is full or a file of the cache damaged. Here the function is compiled anew then.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba as nb
from numba.core import caching

LOG = logging.getLogger("sne_deploy")


def kept_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: compile at the first call, without Python's lock.

    Parameters
    ----------
    **options
        Of ``numba.njit``.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        made = nb.njit(nogil=True, **options)(function)
        try:
            made._cache = _KernelCache(function)  # noqa: SLF001  what `cache=True` sets
        except (RuntimeError, OSError) as error:  # there is no place, or none any more
            _tell(f"neither {Path(function.__code__.co_filename).parent} nor {_own_cache()} can", error)
        return made

    return compiled


def _own_cache() -> str:
    return os.environ.get("XDG_CACHE_HOME") or str(Path(os.path.expanduser("~")) / ".cache")  # noqa: PTH111  it never raises


class _Places(caching.CompileResultCacheImpl):  # type: ignore[misc]  # numba has no types
    """Where a kernel is kept: without a home, ``~/.cache`` would be a folder named ``~`` where one stands."""

    @property
    def _locator_classes(self) -> list[Any]:
        found = list(caching.CacheImpl._locator_classes)  # noqa: SLF001  all that numba knows
        if not Path(_own_cache()).is_absolute():
            found.remove(caching.UserWideCacheLocator)
        return found


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]  # numba has no types
    """numba's, where what cannot be read or written is compiled anew."""

    _impl_class = _Places

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001  a damaged pickle raises anything
            LOG.info("kernel cache %s: %s", self.cache_path, error)
            self._begin_anew()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            self.disable()
            _tell(f"{self.cache_path} cannot", error)

    def _begin_anew(self) -> None:
        try:
            self.flush()
        except OSError:
            self.disable()


@cache
def _said() -> list[str]:
    return []


def _tell(where: str, error: Exception) -> None:
    """Say once, in the process that the user started, that every start takes longer than it must."""
    if not _said() and multiprocessing.parent_process() is None:
        _said().append(where)
        LOG.warning(
            "compiled kernels are not kept: %s be written (%s); each start takes some seconds longer; "
            "name a folder that can be written in NUMBA_CACHE_DIR",
            where,
            error.strerror if isinstance(error, OSError) else "read-only, or of another user",
        )
