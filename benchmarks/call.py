"""A call of ``compiled.run`` beside the engine that it calls: ``sne bench`` on one network.

    python -m benchmarks.call [--samples 500] [--rounds 9]

784-128-64-10 of Norse's ``LIFCell``, T = 32, with the weights and thresholds of network ``a``, on Bernoulli
spikes held as bytes.
"""

from __future__ import annotations

import argparse

import norse.torch as snn
import torch
from rich.console import Console

import sne_deploy as sne
from benchmarks.forward import dense_layer, parameters
from benchmarks.networks import Case, make_case
from sne_deploy.bench import BenchOptions, bench_view, measure


def norse_ensemble(case: Case) -> sne.Ensemble:
    """The case's dense layers as one Norse student with a threshold of 1."""
    layers: list[torch.nn.Module] = []
    for group, synapse in zip(case.program.groups, case.program.synapses, strict=True):
        layers += [dense_layer(group, synapse), snn.LIFCell(p=parameters(group))]
    shape, timesteps = case.program.input.shape, case.program.timesteps
    return sne.ensemble([snn.SequentialState(*layers)], input_shape=shape, timesteps=timesteps)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    case = make_case("a", 0.1, 0, quick=False)
    options = BenchOptions(("loihi",), given.rounds)
    Console(width=110).print(
        bench_view(measure(norse_ensemble(case), case.inputs(given.samples, 0), options))
    )


if __name__ == "__main__":
    main()
