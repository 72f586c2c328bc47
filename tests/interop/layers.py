"""What several export scripts share: dense chains, their weights, and the search for a rate."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from recording import random_weights, tune

Array = npt.NDArray[Any]
SIZES = (24, 32, 12)
Run = Callable[[list[Array], list[Array]], dict[str, Array]]
"""From weights and biases, one of each per linear layer, to what every layer of neurons gave."""


def weights(rng: np.random.Generator, sizes: Sequence[int] = SIZES, mean: float = 0.3) -> list[Array]:
    """Random weights (n_out, n_in) of a chain of linear layers."""
    return [random_weights(rng, (after, before), mean) for before, after in itertools.pairwise(sizes)]


def biases(rng: np.random.Generator, sizes: Sequence[int] = SIZES) -> list[Array]:
    """Small ones."""
    return [rng.uniform(-0.02, 0.02, size).astype(np.float32) for size in sizes[1:]]


def tuned(run: Run, matrices: list[Array], offsets: list[Array], nodes: Sequence[str], target: float) -> None:
    """Scale each layer's weights in place until its neurons fire as wanted; ``nodes``: one per layer."""
    for index, node in enumerate(nodes):
        original = matrices[index].copy()
        tune(partial(_rate, run, matrices, offsets, index, original, node), target)


def _rate(
    run: Run,
    matrices: list[Array],
    offsets: list[Array],
    index: int,
    original: Array,
    node: str,
    scale: float,
) -> float:
    matrices[index][...] = original * np.float32(scale)
    return float(run(matrices, offsets)[node].mean())
