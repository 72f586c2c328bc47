"""How the cost of target ``loihi`` grows with batch, network, activity and steps: time and peak memory.

Every point runs in a process of its own (``python -m benchmarks.comparison.scaling JOB RESULT``), so that its
peak memory is its own: the kernel's high-water mark over the run, less what was resident before it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.comparison.networks import bernoulli, dense_network, tuned
from sne_deploy.errors import RunError

BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
WIDTHS = (64, 256, 1024, 2048, 4096)
RATES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.9)
STEPS = (4, 16, 64, 256)
REPEATS = 5
_M_MMAP_THRESHOLD = -3
"""In glibc's malloc.h: blocks of at least so many bytes are given back as soon as they are free."""


@dataclass(frozen=True)
class Point:
    """One measurement: inputs - width - width / 2 - 10, dense."""

    batch: int = 256
    width: int = 512
    rate: float = 0.1
    timesteps: int = 32
    inputs: int = 784


def points(*, quick: bool) -> dict[str, tuple[Point, ...]]:
    """The points of each sweep, by what varies."""
    if quick:
        base = Point(batch=4, width=16, timesteps=4, inputs=12)
        return {
            "batch": (replace(base, batch=1), base),
            "width": (base, replace(base, width=24)),
            "rate": (base, replace(base, rate=0.5)),
            "timesteps": (base, replace(base, timesteps=8)),
        }
    base = Point()
    return {
        "batch": tuple(replace(base, batch=value) for value in BATCHES),
        "width": tuple(replace(base, width=value) for value in WIDTHS),
        "rate": tuple(replace(base, rate=value) for value in RATES),
        "timesteps": tuple(replace(base, timesteps=value) for value in STEPS),
    }


def measure_scaling(seed: int, threads: int, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """All sweeps: name to a list of points with ``us`` (per sample and step), ``ms``, ``peak_mib``."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sweep, chosen in points(quick=quick).items():
        found[sweep] = []
        for point in chosen:
            say(f"scaling with {sweep}: {getattr(point, sweep)}")
            found[sweep].append(_in_child(point, seed, threads))
    return found


def _in_child(point: Point, seed: int, threads: int) -> dict[str, Any]:
    from benchmarks.comparison.child import run_script

    job = pickle.dumps((point, seed, threads))
    found = run_script([sys.executable, "-m", "benchmarks.comparison.scaling"], job)
    return {**asdict(point), **found}


def measure_point(point: Point, seed: int) -> dict[str, Any]:
    """Tune the network, run it once to warm up, then time it, and watch its memory."""
    from sne_deploy.backend import RunOptions, load_backend

    sizes = (point.inputs, point.width, point.width // 2, 10)
    program = tuned(dense_network(sizes, point.timesteps, seed), point.rate, seed)
    inputs = bernoulli(program, point.batch, point.rate, seed + 1)
    executable = load_backend("loihi").compile(program, RunOptions())
    executable.run(inputs[:1])
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        executable.run(inputs)
        seconds.append(time.perf_counter() - start)
    _release_free_memory()
    before = _memory_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # start the high-water mark anew
    trace = executable.run(inputs)
    peak = _memory_mib("VmHWM") - before
    rows = point.batch * point.timesteps
    return {
        "synapses": sum(int(synapse.weights.matrix().nnz) for synapse in program.synapses),
        "rates": [
            float(layer.spikes.sum() / (rows * group.size))
            for layer, group in zip(trace.layers, program.groups, strict=True)
        ],
        "ms": 1e3 * statistics.median(seconds),
        "us": 1e6 * statistics.median(seconds) / rows,
        "peak_mib": max(peak, 0.0),
        "inputs_mib": inputs.nbytes / 2**20,
    }


def _release_free_memory() -> None:
    """Give what earlier runs freed back to the system, and from now on at once: a peak could hide in it.

    That costs time, so it comes after the timing. Without glibc nothing happens.
    """
    library = ctypes.CDLL(None)
    gc.collect()
    if hasattr(library, "malloc_trim") and hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, 2**16)
        library.malloc_trim(0)


def _memory_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RunError(f"/proc/self/status has no {field}: the benchmark runs on Linux")


def main(job: str, result: str) -> None:
    """Measure one point."""
    from benchmarks.comparison.machine import set_threads

    point, seed, threads = pickle.loads(Path(job).read_bytes())  # noqa: S301  # our own parent wrote it
    set_threads(threads)
    Path(result).write_text(json.dumps(measure_point(point, seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
