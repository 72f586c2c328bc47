"""Freed memory is kept where the C library can be asked to."""

from __future__ import annotations

import platform

from sne_deploy.distill.training.memory import keep_freed_memory


def test_glibc_keeps_what_is_freed() -> None:
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
