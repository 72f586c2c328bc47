"""What a Dask cluster costs per unit of work and per byte, and the same run by one and two workers.

``python -m benchmarks.cluster_costs [--rounds N] [--out docs/cluster.json]``
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.data.encode import encode
from sne_deploy.files import write_whole
from sne_deploy.runtime import execution
from tests.dask_processes import Cluster

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples" / "digits" / "model.pt"
UNITS = 200
PAYLOADS = (10_000, 500_000)
"""Bytes of a unit's input, in the two measurements whose difference is the cost of bytes."""
SIZES = (4, 256)
"""Samples of a unit, in the two measurements whose difference is the cost of a sample."""
REPEATS = 7
TIMES = 20
"""The digits' test set is run so many times over by one and two workers."""


def messages() -> dict[str, Any]:
    """Milliseconds of processor time per unit of work and per megabyte: client, scheduler, worker."""
    from distributed import Client

    found = []
    with Cluster(1) as cluster, Client(cluster.address, set_as_default=False) as client:
        for payload in (10, *PAYLOADS):  # the first one warms up
            before = _times(client)
            engine = client.get_executor(pure=False)
            data = os.urandom(payload)
            for future in [engine.submit(len, data) for _ in range(UNITS)]:
                future.result()
            found.append([after - start for after, start in zip(_times(client), before, strict=True)])
    small, large = found[1:]
    names = ("client", "scheduler", "worker")
    megabytes = (PAYLOADS[1] - PAYLOADS[0]) * UNITS / 1e6
    per_mb = {n: max(0.0, 1e3 * (b - a) / megabytes) for n, a, b in zip(names, small, large, strict=True)}
    return {
        "ms_per_unit": {
            n: round(1e3 * a / UNITS - per_mb[n] * PAYLOADS[0] / 1e6, 4)
            for n, a in zip(names, small, strict=True)
        },
        "ms_per_mb": {n: round(ms, 4) for n, ms in per_mb.items()},
    }


def _times(client: Any) -> tuple[float, float, float]:
    workers = client.run(time.process_time)
    return time.process_time(), client.run_on_scheduler(time.process_time), sum(workers.values())


def work() -> dict[str, Any]:
    """Milliseconds of processor time of a student of the digits on ``loihi``, and bytes that travel."""
    x = np.concatenate([digits_split()[2]] * 2)[: SIZES[1]]
    with sne.compile(DIGITS, "loihi", fidelity=False) as compiled:
        program = compiled.programs[0]
        encoded = encode(compiled.ensemble.encoder, x[:, None], compiled.ensemble.timesteps, 0, first_index=0)
    pickled = pickle.dumps(program, protocol=5)
    unit = ("loihi", pickled, "digest")
    cold = _cpu_ms(lambda: execution.run_unit(*unit, encoded[: SIZES[0]], "counts", {}))
    ms = [
        statistics.median(
            _cpu_ms(lambda size=size: execution.run_unit(*unit, encoded[:size], "counts", {}))
            for _ in range(REPEATS)
        )
        for size in SIZES
    ]
    per_sample = (ms[1] - ms[0]) / (SIZES[1] - SIZES[0])
    traces = [len(pickle.dumps(execution.run_unit(*unit, encoded[:size], "counts", {}), 5)) for size in SIZES]
    per_result = (traces[1] - traces[0]) / (SIZES[1] - SIZES[0])
    return {
        "students": len(compiled.programs),
        "ms_per_sample": round(per_sample, 5),
        "ms_per_unit": round(max(0.0, ms[0] - per_sample * SIZES[0]), 4),
        "ms_first": round(max(0.0, cold - ms[0]), 2),
        "bytes_program": len(pickled),
        "bytes_per_sample": int(encoded[0].nbytes),
        "bytes_per_result": round(per_result, 1),
    }


def _cpu_ms(call: Any) -> float:
    started = time.process_time()
    call()
    return 1e3 * (time.process_time() - started)


def runs(rounds: int) -> dict[str, Any]:
    """Seconds of the same run by one and two workers of a pool and of a cluster, in rounds."""
    x, y = (np.concatenate([array] * TIMES) for array in digits_split()[2:])
    found: dict[str, list[float]] = {}
    load = round(os.getloadavg()[0], 1)
    with Cluster(1) as one, Cluster(2) as two:
        ways: dict[str, dict[str, Any]] = {
            "--workers 1": {"workers": 1},
            "--workers 2": {"workers": 2},
            "--scheduler, 1 worker": {"scheduler": one.address},
            "--scheduler, 2 workers": {"scheduler": two.address},
        }
        for turn in range(rounds + 1):
            for way, given in ways.items():
                with sne.compile(DIGITS, "loihi", fidelity=False, **given) as compiled:
                    compiled.run(x[:360], y[:360])  # so that workers have compiled it
                    started = time.perf_counter()
                    compiled.run(x, y)
                    seconds = time.perf_counter() - started
                if turn:
                    found.setdefault(way, []).append(round(seconds, 3))
    cores = len(os.sched_getaffinity(0))
    return {"samples": len(x), "rounds": rounds, "cores": cores, "load": load, "seconds": found}


def main() -> None:
    """Measure, and keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster_costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of the runs by one and two workers")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "cluster.json")
    asked = parser.parse_args()
    measured = {
        "command": "python -m benchmarks.cluster_costs",
        "python": platform.python_version(),
        "messages": messages(),
        "work": work(),
        "runs": runs(asked.rounds),
    }
    write_whole(asked.out, (json.dumps(measured, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
