"""What a figure depends on besides the code: the machine, its load, the versions, the threads."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("sne-deploy", "torch", "numpy", "numba", "scipy", "norse", "lava-nc", "lava-dl")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def set_threads(count: int) -> None:
    """Use so many threads in this process: PyTorch's number, which target ``loihi`` takes over."""
    import torch

    torch.set_num_threads(count)


def describe_machine() -> dict[str, Any]:
    """Processor, its vector instructions, cores, memory, system."""
    text = Path("/proc/cpuinfo").read_text()
    pairs = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    fields = {name.strip(): value.strip() for name, value in pairs}
    flags = fields.get("flags", "").split()
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": fields.get("model name", platform.processor()),
        "instructions": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def describe_versions() -> dict[str, str | None]:
    """Versions of everything that takes part; None where not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def load() -> list[float]:
    """Load averages over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]
