"""How the cost of target ``loihi`` grows with batch, network, activity and steps, and what its start costs.

Every point runs in a process of its own, so that its peak memory is its own: the kernel's high-water mark
over the run, less what was resident before it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.children import answer, call
from sne_deploy.errors import RunError

BASE = {"batch": 256, "width": 512, "rate": 0.1, "timesteps": 32, "inputs": 784}
"""A network of inputs - width - width / 2 - 10, dense."""
SWEEPS: Mapping[str, Sequence[float]] = {
    "batch": (1, 4, 16, 64, 256, 1024, 4096),
    "width": (64, 256, 1024, 2048, 4096),
    "rate": (0.01, 0.05, 0.1, 0.25, 0.5, 0.9),
    "timesteps": (4, 16, 64, 256),
}
QUICK_BASE = {"batch": 4, "width": 16, "rate": 0.1, "timesteps": 4, "inputs": 12}
QUICK_SWEEPS: Mapping[str, Sequence[float]] = {
    "batch": (1, 4), "width": (16, 24), "rate": (0.1, 0.5), "timesteps": (4, 8),
}  # fmt: skip
REPEATS = 5
_M_MMAP_THRESHOLD = -3
"""In glibc's malloc.h: blocks of at least this size are given back as soon as they are free."""


def measure_scaling(seed: int, threads: int, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """All sweeps: name to a list of points with ``us`` (per sample and step), ``ms``, ``peak_mib``."""
    base, sweeps = (QUICK_BASE, QUICK_SWEEPS) if quick else (BASE, SWEEPS)
    found: dict[str, list[dict[str, Any]]] = {}
    for sweep, values in sweeps.items():
        found[sweep] = []
        for value in values:
            say(f"scaling with {sweep}: {value}")
            point = {**base, sweep: value}
            found[sweep].append({**point, **call("benchmarks.scaling", "point", point, seed, threads)})
    return found


def measure_startup(seed: int) -> dict[str, dict[str, float]]:
    """Seconds of ``import``, ``compile`` and the first ``run``: ``first_ever`` and ``cached``.

    With an empty kernel cache a process shows what the very first run on a machine costs.
    """
    with tempfile.TemporaryDirectory() as folder:
        return {
            when: call("benchmarks.scaling", "startup", seed, environment={"NUMBA_CACHE_DIR": folder})
            for when in ("first_ever", "cached")
        }


def point(described: Mapping[str, Any], seed: int, threads: int) -> dict[str, Any]:
    """Tune the network, run it once to warm up, then time it, and watch its memory."""
    import torch

    from benchmarks.measure import rates
    from benchmarks.networks import bernoulli, dense_network, tuned
    from sne_deploy.backend import RunOptions, load_backend

    torch.set_num_threads(threads)
    batch, width, timesteps = described["batch"], described["width"], described["timesteps"]
    program = dense_network((described["inputs"], width, width // 2, 10), timesteps, seed)
    program = tuned(program, described["rate"], seed)
    inputs = bernoulli(program, batch, described["rate"], seed + 1)
    executable = load_backend("loihi").compile(program, RunOptions())
    executable.run(inputs[:1])
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        executable.run(inputs)
        seconds.append(time.perf_counter() - start)
    release_free_memory()
    before = resident_anew()
    trace = executable.run(inputs)
    peak = memory_mib("VmHWM") - before
    return {
        "synapses": sum(int(synapse.weights.matrix().nnz) for synapse in program.synapses),
        "rates": list(rates(program, trace, batch).values()),
        "ms": 1e3 * statistics.median(seconds),
        "us": 1e6 * statistics.median(seconds) / (batch * timesteps),
        "peak_mib": max(peak, 0.0),
        "inputs_mib": inputs.nbytes / 2**20,
    }


def release_free_memory() -> None:
    """Give what earlier runs freed back to the system, and from now on at once: a peak could hide in it.

    That costs time, so it comes after the timing. Without glibc nothing happens.
    """
    library = ctypes.CDLL(None)
    gc.collect()
    if hasattr(library, "malloc_trim") and hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, 2**16)
        library.malloc_trim(0)


def resident_anew() -> float:
    """Resident memory in MiB, from which the high-water mark starts anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mib("VmRSS")


def memory_mib(field: str) -> float:
    """A field of the kernel's account of this process, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RunError(f"/proc/self/status has no {field}: the benchmark runs on Linux")


def startup(seed: int) -> dict[str, float]:
    """Import, compile and run a small convolutional network; each is timed."""
    times = [time.perf_counter()]
    from benchmarks.networks import bernoulli, network
    from sne_deploy.backend import RunOptions, load_backend

    program = network("b", seed, quick=True)
    inputs = bernoulli(program, 8, 0.1, seed)
    backend = load_backend("loihi")
    importlib.import_module("sne_loihi.executable")
    times.append(time.perf_counter())
    executable = backend.compile(program, RunOptions())
    times.append(time.perf_counter())
    for _ in range(2):
        executable.run(inputs)
        times.append(time.perf_counter())
    names = ("import_s", "compile_s", "first_run_s", "second_run_s")
    return {name: after - before for name, before, after in zip(names, times, times[1:], strict=False)}


if __name__ == "__main__":
    answer(lambda what, *job: point(*job) if what == "point" else startup(*job))
