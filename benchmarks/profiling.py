"""Where the time of target ``loihi`` goes: the standard library's profiler over a few runs.

It runs on one thread, since the profiler sees no other; chunks on several threads do not meet.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from typing import Any

import torch

from benchmarks.networks import Case
from sne_deploy.backend import RunOptions, load_backend

RUNS = 5
LEAST_SHARE = 0.02
WHAT = {
    "run_groups_on_events": "neurons of a layer with their events",
    "run_cycles": "neurons of recurrent layers with their events",
    "run_groups": "neurons of a layer, sums already there",
    "add_events": "events, added for a whole chunk",
    "count_spikes": "counting the input's spikes",
    "_int_mm": "8-bit matrix products",
    "matmul": "float32 matrix products",
    "conv2d": "float32 convolutions",
    "TensorBase'": "conversion between number formats",
    "synops_into": "counting synaptic operations",
    "ufunc'": "counting synaptic operations, sums",
    "concatenate": "joining the chunks' counts",
}
"""What a function of the simulator spends its own time on."""


def profile_case(case: Case, batch: int, seed: int) -> dict[str, Any]:
    """``us`` per sample and step on one thread, ``shares`` of functions, operations per step and second."""
    executable = load_backend("loihi").compile(case.program, RunOptions())
    inputs = case.inputs(batch, seed)
    trace, profiler = executable.run(inputs), cProfile.Profile()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        executable.run(inputs)
        profiler.enable()
        for _ in range(RUNS):
            executable.run(inputs)
        profiler.disable()
    finally:
        torch.set_num_threads(threads)
    stats: Any = pstats.Stats(profiler)
    shares: dict[str, float] = defaultdict(float)
    for (_, _, function), (_, _, own, _, _) in stats.stats.items():
        shares[function.rpartition(".")[2].strip(">'").split(" ")[0]] += own / stats.total_tt
    seconds = stats.total_tt / RUNS
    rows = batch * case.program.timesteps
    per_step = {
        "synops": float(trace.synops.sum() / rows),
        "dense_multiply_adds": case.synapses,
        "neuron_updates": sum(group.size for group in case.program.groups),
    }
    return {
        "name": case.name,
        "input_rate": case.input_rate,
        "batch": batch,
        "us": 1e6 * seconds / rows,
        "shares": [
            {"function": name, "what": WHAT.get(name, "Python"), "share": share}
            for name, share in sorted(shares.items(), key=lambda item: -item[1])
            if share >= LEAST_SHARE
        ],
        "per_step": per_step,
        "rate_giga_per_s": {name: count * rows / seconds / 1e9 for name, count in per_step.items()},
    }
