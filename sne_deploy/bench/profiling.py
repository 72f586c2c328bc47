"""Where the time of target ``loihi`` goes: the standard library's profiler over a few runs.

A compiled kernel has no Python frame: its time counts for the function that calls it.
"""

from __future__ import annotations

import cProfile
import pstats
from typing import Any

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.bench.networks import Case

RUNS = 5
LEAST_SHARE = 0.02
WHAT = {
    "_run_group": "neurons of one layer, its events added as they come where that is cheaper",
    "_run_readout": "readout neurons",
    "_run_block": "step by step: layers on a cycle",
    "step": "neurons on a cycle, one step",
    "_int_mm": "8-bit matrix products",
    "conv2d": "float32 convolutions",
    "to": "conversion between number formats",
    "float": "conversion between number formats",
    "_apply": "events added for a whole chunk",
    "apply": "products and convolutions: layout and conversion",
    "inside": "reordering the input, channels last",
    "run": "counting the input's spikes",
    "_arrived": "counting synaptic operations",
    "matmul": "float32 matrix products",
}
"""What a function of the simulator spends its own time on."""


def profile_case(case: Case, batch: int, seed: int) -> dict[str, Any]:
    """Profile ``loihi`` on a case.

    Returns
    -------
    dict
        ``name``, ``input_rate``, ``batch``, ``us`` per sample and step, ``shares`` (list of ``function``,
        ``what``, ``share``) and ``arithmetic``: giga operations per second done (synaptic operations,
        neuron updates) and those a dense computation would have done.
    """
    executable = load_backend("loihi").compile(case.program, RunOptions())
    inputs = case.inputs(batch, seed)
    trace = executable.run(inputs)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(RUNS):
        executable.run(inputs)
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    total = stats.total_tt
    shares: dict[str, float] = {}
    for (_, _, function), (_, _, own, _, _) in stats.stats.items():
        name = function.rpartition(".")[2].strip(">'").split(" ")[0]
        shares[name] = shares.get(name, 0.0) + own / total
    seconds = total / RUNS
    rows = batch * case.program.timesteps
    neurons = sum(group.size for group in case.program.groups)
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
        "per_step": {
            "synops": float(trace.synops.sum() / rows),
            "dense_multiply_adds": case.synapses,
            "neuron_updates": neurons,
        },
        "rate_giga_per_s": {
            "synops": float(trace.synops.sum() / seconds / 1e9),
            "dense_multiply_adds": case.synapses * rows / seconds / 1e9,
            "neuron_updates": neurons * rows / seconds / 1e9,
        },
    }
