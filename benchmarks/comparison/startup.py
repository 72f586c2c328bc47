"""What happens once: importing, compiling kernels, measuring this machine, the first run.

``python -m benchmarks.comparison.startup JOB RESULT`` measures in a fresh process; with an empty kernel cache
it shows what the very first run on a machine costs.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def measure_startup(seed: int) -> dict[str, dict[str, float]]:
    """Seconds of ``import``, ``compile`` and the first ``run``: ``first_ever`` and ``cached``."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for when in ("first_ever", "cached"):
            found[when] = _in_child(seed, folder)
    return found


def _in_child(seed: int, cache: str) -> dict[str, float]:
    from benchmarks.comparison.child import run_script

    command = [sys.executable, "-m", "benchmarks.comparison.startup"]
    return run_script(command, pickle.dumps(seed), {**os.environ, "NUMBA_CACHE_DIR": cache})


def measure_here(seed: int) -> dict[str, Any]:
    """Import, compile and run a small convolutional network; each is timed."""
    start = time.perf_counter()
    from benchmarks.comparison.networks import bernoulli, conv_network
    from sne_deploy.backend import RunOptions, load_backend

    program = conv_network((2, 8, 8), (4, 6), 5, seed)
    inputs = bernoulli(program, 8, 0.1, seed)
    backend = load_backend("loihi")
    importlib.import_module("sne_loihi.executable")
    imported = time.perf_counter()
    executable = backend.compile(program, RunOptions())
    compiled = time.perf_counter()
    executable.run(inputs)
    first = time.perf_counter()
    executable.run(inputs)
    second = time.perf_counter()
    return {
        "import_s": imported - start,
        "compile_s": compiled - imported,
        "first_run_s": first - compiled,
        "second_run_s": second - first,
    }


def main(job: str, result: str) -> None:
    """Measure this process."""
    seed = pickle.loads(Path(job).read_bytes())  # noqa: S301  # our own parent wrote it
    Path(result).write_text(json.dumps(measure_here(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
