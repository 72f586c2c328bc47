"""What a figure depends on besides the code: the machine, the versions."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sne_deploy import bench

PACKAGES = ("sne-deploy", "torch", "numpy", "numba", "scipy", "norse", "lava-nc", "lava-dl")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def describe_machine() -> dict[str, Any]:
    """As ``sne bench`` does, and the processor's vector instructions."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {**bench.describe_machine(), "instructions": [flag for flag in FLAGS if flag in flags]}


def describe_versions() -> dict[str, str | None]:
    """Versions of everything that takes part; None where not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
