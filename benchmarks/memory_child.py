"""One input of ``python -m benchmarks.memory``: what is said of its memory, and what it takes.

Each input runs in a process of its own, on target ``loihi`` with the reference, on random samples, of whose
values memory does not depend. A tiny network runs there first: the libraries and kernels that any first run
loads are not the input's. Said is what compiling or running is refused by where there is not so much; taken
is the kernel's high-water mark, less what was resident before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from norse.torch import LIFBoxCell, LIFCell, LIFRecurrentCell, SequentialState

import sne_deploy as sne
from benchmarks.children import answer
from benchmarks.scaling import memory_mib, release_free_memory, resident_anew
from sne_deploy.runtime import compile_size, sizes

ROOT = Path(__file__).resolve().parents[1]
Made = tuple[sne.Ensemble, int]


def _committed(name: str, samples: int) -> Made:
    return sne.load(ROOT / "examples" / name / "model.pt"), samples


def _network(*layers: torch.nn.Module, shape: tuple[int, ...], timesteps: int, samples: int) -> Made:
    return sne.ensemble(SequentialState(*layers), input_shape=shape, timesteps=timesteps), samples


def _convolutional() -> Made:
    layers = (
        torch.nn.Conv2d(2, 16, 5), LIFBoxCell(), torch.nn.Conv2d(16, 32, 3, stride=2), LIFBoxCell(),
        torch.nn.Flatten(), torch.nn.Linear(32 * 13 * 13, 10), LIFBoxCell(),
    )  # fmt: skip
    return _network(*layers, shape=(2, 32, 32), timesteps=16, samples=200)


def _dense() -> Made:
    layers = (torch.nn.Linear(784, 2048), LIFCell(), torch.nn.Linear(2048, 10), LIFCell())
    return _network(*layers, shape=(784,), timesteps=32, samples=500)


def _recurrent() -> Made:
    layers = (LIFRecurrentCell(100, 500), torch.nn.Linear(500, 10), LIFCell())
    return _network(*layers, shape=(100,), timesteps=50, samples=500)


INPUTS: Mapping[str, Callable[[], Made]] = {
    "digits": lambda: _committed("digits", 500),
    "mnist": lambda: _committed("mnist", 500),
    "cifar10": lambda: _committed("cifar10", 100),
    "convolutional": _convolutional,
    "dense": _dense,
    "recurrent": _recurrent,
}


def measured(name: str) -> dict[str, Any]:
    """In a child: MiB that compiling and running are said to need, and what they took."""
    torch.manual_seed(0)
    tiny = SequentialState(torch.nn.Linear(3, 4), LIFCell(), torch.nn.Linear(4, 2), LIFCell())
    with sne.compile(sne.ensemble(tiny, input_shape=3, timesteps=2), "loihi") as warm:
        warm.run(np.zeros((2, 2, 3), np.uint8))
    ensemble, samples = INPUTS[name]()
    x = _samples(ensemble, samples)
    weights, values = compile_size.weights_of(ensemble), compile_size.values_of(ensemble)
    release_free_memory()
    before = resident_anew()
    with sne.compile(ensemble, "loihi") as compiled:
        compiling = _step(compile_size.bytes_of(weights, values, reference=True), before)
        asked: list[int] = []

        def checked(size: sizes.RunSize) -> None:
            asked.append(size.need)

        release_free_memory()
        before = resident_anew()
        with mock.patch.object(sizes, "check_run", checked):
            compiled.run(x)
        return {
            "weights": weights,
            "samples": samples,
            "compile": compiling,
            "run": _step(max(asked), before),
        }


def _step(need: int, before: float) -> dict[str, float]:
    return {
        "before_mib": round(before, 1),
        "said_mib": round(need / 2**20, 1),
        "taken_mib": round(memory_mib("VmHWM") - before, 1),
    }


def _samples(ensemble: sne.Ensemble, count: int) -> Any:
    rng = np.random.default_rng(0)
    if ensemble.encoder.kind == "spikes":
        return (rng.random((count, ensemble.timesteps, *ensemble.input_shape)) < 0.1).astype(np.uint8)
    low, high = ensemble.encoder.input_range
    return rng.uniform(low, high, (count, *ensemble.input_shape))


if __name__ == "__main__":
    answer(measured)
