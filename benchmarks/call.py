"""``sne bench`` of ``loihi`` beside the floating-point reference on networks of several kinds.

    python -m benchmarks.call [--rounds 9] [--cifar10 FOLDER] [NETWORK ...]

``dense``: 784-128-64-10 of Norse's ``LIFCell``, T = 32, 500 samples; ``long``: 20-30-5, 10,000 steps, 100
samples; both on Bernoulli spikes held as bytes, tuned as the networks of ``python -m benchmarks`` are.
``digits`` and ``cifar10``: the committed models, all students on every sample.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import norse.torch as snn
import numpy as np
import torch
from rich.console import Console

import sne_deploy as sne
from benchmarks.forward import dense_layer, parameters
from benchmarks.networks import Case, dense_network, make_case, tuned
from sne_deploy.bench import BenchOptions, bench_view, measure
from sne_deploy.data import cifar10, digits

EXAMPLES = Path(__file__).parents[1] / "examples"


def norse_ensemble(case: Case) -> sne.Ensemble:
    """The case's dense layers as one Norse student with a threshold of 1."""
    layers: list[torch.nn.Module] = []
    for group, synapse in zip(case.program.groups, case.program.synapses, strict=True):
        layers += [dense_layer(group, synapse), snn.LIFCell(p=parameters(group))]
    shape, timesteps = case.program.input.shape, case.program.timesteps
    return sne.ensemble([snn.SequentialState(*layers)], input_shape=shape, timesteps=timesteps)


def _made(case: Case, samples: int) -> tuple[sne.Ensemble, Any]:
    return norse_ensemble(case), case.inputs(samples, 0)


def _committed(name: str, images: Any) -> tuple[sne.Ensemble, Any]:
    ensemble = sne.load(EXAMPLES / name / "model.pt")
    return ensemble, np.asarray(images, np.float64).reshape(len(images), *ensemble.input_shape)


def networks(folder: Path | None) -> dict[str, Callable[[], tuple[sne.Ensemble, Any]]]:
    """An ensemble and samples, by name."""
    found: dict[str, Callable[[], tuple[sne.Ensemble, Any]]] = {
        "dense": lambda: _made(make_case("a", 0.1, 0, quick=False), 500),
        "long": lambda: _made(
            Case("long", "20-30-5 dense", tuned(dense_network((20, 30, 5), 10_000, 0), 0.1, 0), 0.1), 100
        ),
        "digits": lambda: _committed("digits", digits.digits_split()[2]),
    }
    if folder is not None:
        found["cifar10"] = lambda: _committed("cifar10", cifar10.load_cifar10("test", folder)[0][:500])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help="all by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cifar10", type=Path, help="folder of the data set; without it, no cifar10")
    given = parser.parse_args()
    known = networks(given.cifar10)
    for name in given.networks or known:
        ensemble, x = known[name]()
        options = BenchOptions(("loihi", "norse"), given.rounds, seconds=60.0)
        print(f"{name}: {ensemble.timesteps} steps")
        Console(width=110).print(bench_view(measure(ensemble, x, options)))


if __name__ == "__main__":
    main()
