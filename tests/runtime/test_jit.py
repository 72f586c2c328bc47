"""Compiled functions are kept where that can be done, and work where it cannot."""

from __future__ import annotations

import errno
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba as nb
import pytest
from numba.core import caching

from sne_deploy.runtime import jit

SOURCE = """from sne_deploy.runtime.jit import kept_njit


@kept_njit()
def twice(x):
    return 2 * x
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own; whether something was said is forgotten before and after it."""
    monkeypatch.setattr(nb.config, "CACHE_DIR", str(tmp_path / "cache"))
    jit._said.cache_clear()
    yield tmp_path / "cache"
    jit._said.cache_clear()


def twice(folder: Path) -> Any:
    """The function as another process would have it."""
    file = folder / "doubling.py"
    file.write_text(SOURCE, "utf-8")
    spec = importlib.util.spec_from_file_location("doubling", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.twice


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


def test_the_next_process_finds_what_was_compiled(tmp_path: Path) -> None:
    first, second = twice(tmp_path), twice(tmp_path)
    assert (first(3), second(4)) == (6, 8)
    assert (hits(first), hits(second)) == (0, 1)


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"\x80\x05garbage"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, cache: Path, suffix: str, damage: bytes) -> None:
    twice(tmp_path)(3)
    for file in cache.rglob(f"*.{suffix}"):
        file.write_bytes(damage)
    assert twice(tmp_path)(3) == 6
    last = twice(tmp_path)
    assert (last(3), hits(last)) == (6, 1)


def test_without_a_place_it_is_compiled_each_time_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    with caplog.at_level(logging.WARNING):
        assert [twice(tmp_path)(3), twice(tmp_path)(3)] == [6, 6]
    (record,) = caplog.records
    assert "NUMBA_CACHE_DIR" in record.getMessage()


def test_a_full_disk_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    with caplog.at_level(logging.WARNING):
        assert [twice(tmp_path)(3), twice(tmp_path)(3)] == [6, 6]
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage()


def test_without_a_home_no_folder_is_made_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nb.config, "CACHE_DIR", "")
    monkeypatch.setattr(jit, "_own_cache", lambda: "~/.cache")
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [caching.UserWideCacheLocator])
    monkeypatch.chdir(tmp_path)
    assert twice(tmp_path)(3) == 6
    assert [each.name for each in tmp_path.iterdir() if each.name != "__pycache__"] == ["doubling.py"]
