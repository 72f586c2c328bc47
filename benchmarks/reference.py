"""The floating-point reference beside the simulation it is compared with: the same samples, in turns.

    python -m benchmarks.reference [--rounds 5] [--cifar10 FOLDER] [NETWORK...]

Every network runs on `loihi` in integers and on `norse` in floating point, recorded spikes included, as a
call with the default `fidelity` runs both. Prints the median seconds of each, the median ratios of a round,
on the clock and of CPU seconds, and the spikes per neuron and step. `cifar10` and `digits` are the committed
models with all students on every sample; the others are random LIFCell networks on random spikes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import norse.torch as snn
import numpy as np
import torch

import sne_deploy as sne
from sne_deploy.data.cifar10 import load_cifar10
from sne_deploy.data.digits import digits_split

EXAMPLES = Path(__file__).parents[1] / "examples"
Case = tuple[Any, np.ndarray]
"""An ensemble and encoded samples."""


def dense(sizes: Sequence[int], timesteps: int, samples: int) -> Case:
    """Dense layers of LIF neurons with synaptic current, a tenth of which spike at a step."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        linear = torch.nn.Linear(n_in, n_out, bias=False)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(n_out, n_in) * (10 / n_in) ** 0.5)
        parameters = snn.LIFParameters(
            tau_mem_inv=torch.tensor(250.0), tau_syn_inv=torch.tensor(500.0), v_th=torch.tensor(0.65)
        )
        layers += [linear, snn.LIFCell(parameters)]
    ensemble = sne.ensemble([snn.SequentialState(*layers)], input_shape=(sizes[0],), timesteps=timesteps)
    spikes = np.random.default_rng(0).random((samples, timesteps, sizes[0]), np.float32) < 0.1
    return ensemble, spikes.astype(np.uint8)


def committed(name: str, images: np.ndarray) -> Case:
    """A committed model, every student on every sample."""
    ensemble = sne.load(EXAMPLES / name / "model.pt")
    return ensemble, np.asarray(images, np.float64).reshape(len(images), *ensemble.input_shape)


def cases(cifar10: Path | None) -> dict[str, Callable[[], Case]]:
    """The networks by name."""
    made: dict[str, Callable[[], Case]] = {
        "digits": lambda: committed("digits", digits_split()[2]),
        "dense": lambda: dense((784, 128, 64, 10), 32, 500),
        "long": lambda: dense((20, 30, 5), 10_000, 100),
    }
    if cifar10 is not None:
        made["cifar10"] = lambda: committed("cifar10", load_cifar10("test", cifar10)[0][:500])
    return made


def run(compiled: sne.Compiled, inputs: np.ndarray) -> tuple[np.ndarray, Any]:
    """Seconds on the clock and of all cores, and the results of all students."""
    started = time.perf_counter(), time.process_time()
    result = compiled.run_encoded(inputs, None, "spikes")
    return np.array([time.perf_counter() - started[0], time.process_time() - started[1]]), result


def measure(ensemble: Any, inputs: np.ndarray, rounds: int) -> str:
    """One line of figures."""
    static = sne.ActivationPolicy("static")
    with (
        sne.compile(ensemble, "loihi", policy=static, fidelity=False) as simulation,
        sne.compile(ensemble, "norse", policy=static) as reference,
    ):
        run(simulation, inputs)  # compiles and fills caches
        _, result = run(reference, inputs)
        both = np.array([(run(simulation, inputs)[0], run(reference, inputs)[0]) for _ in range(rounds)])
        neurons = sum(g.size for program in reference.programs for g in program.groups if g.spiking)
    spikes = sum(layer.spikes.sum() for student in result.students for layer in student.layers)
    rate = spikes / (len(inputs) * ensemble.timesteps * neurons)
    (theirs, _), (ours, _) = np.median(both, axis=0)
    clock, cores = np.median(both[:, 1] / both[:, 0], axis=0)
    return f"{theirs:10.3f} {ours:10.3f} {clock:8.2f} {cores:8.2f} {100 * rate:8.1f} %"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cifar10", type=Path, help="folder of the data set; without it, no cifar10")
    parser.add_argument("networks", nargs="*", help="digits, dense, long, cifar10; all by default")
    args = parser.parse_args()
    known = cases(args.cifar10)
    print("network    simulation  reference   ratio    of CPU     rate")
    for name in args.networks or known:
        print(f"{name:10} {measure(*known[name](), args.rounds)}", flush=True)


if __name__ == "__main__":
    main()
