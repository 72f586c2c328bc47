"""What a process may take: the least of what the machine, its containers and its own limit leave."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from sne_deploy import memory
from sne_deploy.memory import available_bytes, in_words, let_go, mapped

MIB = 2**20


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 100 MiB left, without limits."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    put(tmp_path, "proc/meminfo", f"MemTotal: 9 kB\nMemAvailable:   {100 * 1024} kB\n")
    return tmp_path


def put(system: Path, name: str, text: object) -> None:
    path = system / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(text))


def test_the_machine(system: Path) -> None:
    assert available_bytes() == 100 * MIB
    put(system, "proc/meminfo", "")
    assert available_bytes() is None


def test_the_process_own_limit_less_what_it_has(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (50 * MIB, resource.RLIM_INFINITY))
    put(system, "proc/self/status", f"Name: x\nVmSize:\t{20 * 1024} kB\n")
    assert available_bytes() == 30 * MIB


@pytest.mark.parametrize("name", ["memory.max", "memory.high"])
@pytest.mark.parametrize("folder", ["", "a/", "a/b/"])
def test_a_container_of_any_level(system: Path, name: str, folder: str) -> None:
    put(system, "proc/self/cgroup", "0::/a/b\n")
    put(system, "cgroup/a/b/memory.max", "max\n")
    put(system, f"cgroup/{folder}{name}", 80 * MIB)
    put(system, f"cgroup/{folder}memory.current", 70 * MIB)
    put(system, f"cgroup/{folder}memory.stat", f"anon 1\ninactive_file {5 * MIB}\n")
    assert available_bytes() == 15 * MIB
    put(system, f"cgroup/{folder}memory.current", 90 * MIB)
    assert available_bytes() == 0


def test_a_container_of_the_first_version(system: Path) -> None:
    put(system, "proc/self/cgroup", "9:name=x:/\n4:cpu,memory:/a\n0::/\n")
    put(system, "cgroup/memory/memory.limit_in_bytes", 2**63 - 4096)
    put(system, "cgroup/memory/memory.usage_in_bytes", 0)
    put(system, "cgroup/memory/a/memory.limit_in_bytes", 80 * MIB)
    put(system, "cgroup/memory/a/memory.usage_in_bytes", 70 * MIB)
    put(system, "cgroup/memory/a/memory.stat", f"inactive_file 1\ntotal_inactive_file {MIB}\n")
    assert available_bytes() == 11 * MIB


def test_sizes_in_words() -> None:
    assert [in_words(size) for size in (12, 2048, 1.5 * MIB, 300 * 2**30)] == [
        "12 B", "2 KiB", "1.5 MiB", "300 GiB",
    ]  # fmt: skip


def test_only_what_nobody_can_write_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(1000))
    kept = np.load(path, mmap_mode="c")
    kept[0] = 5
    assert mapped(kept) is None
    assert mapped(np.arange(3)) is None
    let_go(kept)
    assert kept[0] == 5
    read = np.load(path, mmap_mode="r").view(np.ndarray)[3:]
    assert mapped(read) is not None
    let_go(read)
    assert read[0] == 3
