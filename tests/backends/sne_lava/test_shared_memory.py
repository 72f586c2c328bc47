"""Where processes cannot share memory, it is named with a remedy."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from sne_lava import shared_memory

FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "FOLDER", "/nowhere/at/all")
    found = shared_memory.missing(FULL)
    assert found is not None
    assert "/nowhere/at/all, which is not there" in found
    assert "--target loihi" in found


@pytest.mark.parametrize(
    ("writable", "free", "said"),
    [(False, 9000, "cannot be written"), (True, 9, "64 KiB are full"), (True, 9000, None)],
)
def test_a_folder_of_pages(
    monkeypatch: pytest.MonkeyPatch, writable: bool, free: int, said: str | None
) -> None:
    pages = SimpleNamespace(f_bavail=free, f_frsize=4096, f_blocks=16)
    monkeypatch.setattr(os, "statvfs", lambda _: pages)
    monkeypatch.setattr(os, "access", lambda *_: writable)
    found = shared_memory.missing(FULL)
    assert found is None if said is None else said in (found or "")
    assert shared_memory.missing(ValueError("wrong")) is None
