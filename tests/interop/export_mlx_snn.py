"""Record mlx-snn's spikes beside the NIR graphs that ``mlxsnn.export_to_nir`` writes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlxsnn
import numpy as np
from layers import SIZES, biases, tuned, weights
from recording import Recording, main, random_spikes

DT_S = 1e-4
"""The default of its export."""
NAMES = ("fc1", "lif1", "fc2", "lif2")


def record(
    seed: int,
    cells: Callable[[], tuple[Any, Any]],
    text: str,
    options: dict[str, Any] | None = None,
    **about: Any,
) -> Recording:
    """Build, tune, export, run."""
    rng = np.random.default_rng([seed, 0])
    inputs, (first, second) = random_spikes(seed, SIZES[:1]), cells()
    matrices, offsets = weights(rng), biases(rng)
    layers = [nn.Linear(before, after) for before, after in itertools.pairwise(SIZES)]
    chain = list(zip(NAMES, (layers[0], first, layers[1], second), strict=True))

    def run(matrices: list[Any], offsets: list[Any]) -> dict[str, Any]:
        for layer, matrix, offset in zip(layers, matrices, offsets, strict=True):
            layer.weight, layer.bias = mx.array(matrix), mx.array(offset)
        states = [
            cell.init_state(len(inputs), size) for cell, size in zip((first, second), SIZES[1:], strict=True)
        ]
        kept: dict[str, list[Any]] = {"lif1": [], "lif2": []}
        for step in inputs.swapaxes(0, 1):
            spikes, states[0] = first(layers[0](mx.array(step.astype(np.float32))), states[0])
            kept["lif1"].append(np.array(spikes))
            spikes, states[1] = second(layers[1](spikes), states[1])
            kept["lif2"].append(np.array(spikes))
        return {name: np.stack(steps, 1).astype(bool) for name, steps in kept.items()}

    tuned(run, matrices, offsets, ("lif1", "lif2"), 0.15)
    outputs = run(matrices, offsets)
    graph = mlxsnn.export_to_nir(chain, input_shape=SIZES[:1])
    return Recording(
        f"Linear(24, 32), {text}, Linear(32, 12), {text}",
        graph,
        inputs,
        outputs,
        DT_S,
        fires_at=">=",
        seed=seed,
        options={"convention": "mlx-snn", **(options or {})},
        **about,
    )


GAIN = "r = tau / dt is written, w_in is left at 1"
RECORDINGS: dict[str, Callable[[], Recording]] = {
    "fault_synaptic": lambda: record(
        94,
        lambda: (mlxsnn.Synaptic(alpha=0.8, beta=0.9), mlxsnn.Synaptic(alpha=0.6, beta=0.8)),
        "Synaptic",
        reset="subtract",
        fault=GAIN,
        repair={"nodes": {"lif1": {"w_in": 5.0}, "lif2": {"w_in": 2.5}}},
    ),
}
LIVE: dict[str, Callable[[], Recording]] = {
    "leaky": lambda: record(
        91, lambda: (mlxsnn.Leaky(beta=0.85), mlxsnn.Leaky(beta=0.9)), "Leaky", reset="subtract"
    ),
    "leaky_zero": lambda: record(
        92,
        lambda: tuple(mlxsnn.Leaky(beta=0.85, reset_mechanism="zero") for _ in range(2)),
        "Leaky(reset_mechanism='zero')",
        {"reset": "value"},
        reset="value",
    ),
    "leaky_none": lambda: record(
        93,
        lambda: tuple(mlxsnn.Leaky(beta=0.85, reset_mechanism="none") for _ in range(2)),
        "Leaky(reset_mechanism='none')",
        {"reset": "none"},
        reset="none",
    ),
    "fault_if": lambda: record(
        95,
        lambda: (mlxsnn.Leaky(beta=0.85), mlxsnn.IF()),
        "Leaky or IF",
        reset="subtract",
        fault="r = 1 is written for IF, right for a dt of 1 alone",
        repair={"nodes": {"lif2": {"r": 1 / DT_S}}},
    ),
}

if __name__ == "__main__":
    main("mlx_snn", ["mlx-snn", "mlx"], RECORDINGS, __file__, LIVE)
