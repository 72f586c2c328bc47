"""A call of ``compiled.run`` beside the engine it calls, in turns, in one process.

    python -m benchmarks.call [--samples 500] [--rounds 9]

784-128-64-10 of Norse's ``LIFCell``, T = 32, with the weights and thresholds of network ``a`` of
``benchmarks.comparison``, on Bernoulli spikes held as bytes. ``engine``: the executable alone, on encoded
samples. ``call``: everything from arrays to a report; ``reference``: with the floating-point comparison, the
default. Prints the median microseconds per sample and step, and the median of each round's ratio to the
engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import sne_deploy as sne
from benchmarks.comparison.networks import Case, make_case
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.model.ensemble import Ensemble


def norse_ensemble(case: Case) -> Ensemble:
    """The case's dense layers as one Norse student with a threshold of 1."""
    import norse.torch as snn
    import torch

    layers: list[torch.nn.Module] = []
    for group, synapse in zip(case.program.groups, case.program.synapses, strict=True):
        linear = torch.nn.Linear(synapse.weights.shape[1], synapse.weights.shape[0], bias=False)
        scale = 4096 / int(group.dv) / int(group.vth_mant)
        weights = torch.from_numpy(synapse.weights.matrix().toarray()).float() * scale
        linear.weight = torch.nn.Parameter(weights, requires_grad=False)
        p = snn.LIFParameters(
            tau_syn_inv=torch.tensor(1000 * (int(group.du) + 1) / 4096),
            tau_mem_inv=torch.tensor(1000 * int(group.dv) / 4096),
            v_th=torch.tensor(1.0),
        )
        layers += [linear, snn.LIFCell(p=p)]
    model = snn.SequentialState(*layers)
    return sne.ensemble([model], input_shape=case.program.input.shape, timesteps=case.program.timesteps)


def measure_call(samples: int, rounds: int, seed: int = 0, *, quick: bool = False) -> dict[str, Any]:
    """Time engine, call and call with reference in turns.

    Parameters
    ----------
    samples, rounds, seed : int
    quick : bool
        The small network of the same form.

    Returns
    -------
    dict
        ``us_per_sample_step`` of each, and ``ratio`` of the two calls to the engine: medians.
    """
    case = make_case("a", 0.1, seed, quick=quick)
    x = case.inputs(samples, seed)
    model = norse_ensemble(case)
    with sne.compile(model, "loihi", fidelity=False) as plain, sne.compile(model, "loihi") as compared:
        engine = load_backend("loihi").compile(plain.programs[0], RunOptions())
        works: dict[str, Callable[[], Any]] = {
            "engine": lambda: engine.run(x),
            "call": lambda: plain.run(x),
            "reference": lambda: compared.run(x),
        }
        found: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds + 1):
            for name, work in works.items():
                start = time.perf_counter()
                work()
                found[name].append(time.perf_counter() - start)
    units = 1e6 / (samples * case.program.timesteps)
    timed = {name: seconds[1:] for name, seconds in found.items()}  # the first round is for warming up
    return {
        "network": case.description,
        "samples": samples,
        "us_per_sample_step": {name: units * statistics.median(taken) for name, taken in timed.items()},
        "ratio": {
            name: statistics.median(a / b for a, b in zip(timed[name], timed["engine"], strict=True))
            for name in ("call", "reference")
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    print(json.dumps(measure_call(**vars(parser.parse_args())), indent=2))
