"""Record Spyx's spikes beside the NIR graphs that ``spyx.nir.to_nir`` writes.

Spyx compares with the threshold what the membrane was before the step, so a spike comes one step after the
crossing, and each further layer another step later. Recorded is the step of the crossing: the network runs as
many steps longer as it has layers. Without biases: in Spyx those of the second layer begin a step before its
input.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import spyx
from flax import nnx
from layers import SIZES, tuned, weights
from recording import TIMESTEPS, Recording, main, random_spikes

Cells = Callable[[nnx.Rngs], tuple[Any, Any]]


def record(
    seed: int,
    cells: Cells,
    text: str,
    nodes: tuple[str, str],
    lateness: tuple[int, int] = (1, 2),
    **about: Any,
) -> Recording:
    """Build, tune, export, run."""
    rng = np.random.default_rng([seed, 0])
    inputs, rngs = random_spikes(seed, SIZES[:1]), nnx.Rngs(seed)
    matrices, (first, second) = weights(rng), cells(rngs)
    linear = [
        nnx.Linear(before, after, use_bias=False, rngs=rngs) for before, after in itertools.pairwise(SIZES)
    ]
    padded = np.concatenate([inputs, np.zeros_like(inputs[:, :2])], axis=1).swapaxes(0, 1).astype(np.float32)

    def run(matrices: list[Any], _: list[Any]) -> dict[str, Any]:
        for layer, matrix in zip(linear, matrices, strict=True):
            layer.kernel[...] = jnp.array(matrix.T)
        whole = spyx.nn.Sequential(linear[0], first, linear[1], second)
        half = spyx.nn.Sequential(linear[0], first)
        kept = {}
        for late, (node, network) in zip(lateness, zip(nodes, (half, whole), strict=True), strict=True):
            out, _ = spyx.nn.run(network, jnp.array(padded))
            kept[node] = np.array(out).swapaxes(0, 1)[:, late : late + TIMESTEPS].astype(bool)
        return kept

    tuned(run, matrices, [], nodes, 0.15)
    outputs = run(matrices, [])
    whole = spyx.nn.Sequential(linear[0], first, linear[1], second)
    graph = spyx.nir.to_nir(whole, {"input": np.array(SIZES[:1])}, {"output": np.array(SIZES[-1:])}, dt=1)
    options = {"convention": "spyx", **about.pop("options", {})}
    return Recording(
        f"Linear(24, 32), {text}, Linear(32, 12), {text}",
        graph,
        inputs,
        outputs,
        1.0,
        fires_at=">",
        seed=seed,
        options=options,
        **about,
    )


def pair(kind: Any, first: dict[str, Any], second: dict[str, Any], rngs: nnx.Rngs) -> tuple[Any, Any]:
    """Two layers of one kind."""
    cells = kind(SIZES[1:2], **first, rngs=rngs), kind(SIZES[2:], **second, rngs=rngs)
    for cell in cells:
        if hasattr(cell, "recurrent_w"):
            cell.recurrent_w[...] = 0.15 * cell.recurrent_w[...]
    return cells


LIF, CUBA, IF, PSU = spyx.nn.LIF, spyx.nn.CuBaLIF, spyx.nn.IF, spyx.nn.PSU_LIF
NODES, RECURRENT = ("layer_1", "layer_3"), ("layer_1.layer_1.lif", "layer_3.layer_3.lif")
RECORDINGS: dict[str, Callable[[], Recording]] = {
    "fault_lif": lambda: record(
        81,
        partial(pair, LIF, {"beta": 0.8}, {"beta": 0.9}),
        "LIF(beta)",
        NODES,
        reset="subtract_delayed",
        fault="r = beta is written, an input counts in full",
        repair={"nodes": {"layer_1": {"r": 5.0}, "layer_3": {"r": 10.0}}},
    ),
    "fault_cuba": lambda: record(
        82,
        partial(pair, CUBA, {"alpha": 0.5, "beta": 0.8}, {"alpha": 0.75, "beta": 0.875}),
        "CuBaLIF(alpha, beta)",
        NODES,
        reset="subtract",
        fault="r = beta is written and w_in is not, an input counts in full",
        repair={"nodes": {"layer_1": {"r": 5.0, "w_in": 2.0}, "layer_3": {"r": 8.0, "w_in": 4.0}}},
    ),
}
LIVE: dict[str, Callable[[], Recording]] = {
    "lif_per_neuron": lambda: record(
        83, partial(pair, LIF, {}, {}), "LIF with a beta for each neuron", NODES, reset="subtract_delayed"
    ),
    "cuba_per_neuron": lambda: record(
        84, partial(pair, CUBA, {}, {}), "CuBaLIF with decays for each neuron", NODES, reset="subtract"
    ),
    "if": lambda: record(85, partial(pair, IF, {}, {}), "IF", NODES, reset="subtract"),
    "rlif": lambda: record(
        87, partial(pair, spyx.nn.RLIF, {}, {}), "RLIF", RECURRENT, reset="subtract_delayed"
    ),
    "rif": lambda: record(88, partial(pair, spyx.nn.RIF, {}, {}), "RIF", RECURRENT, reset="subtract"),
    "rcuba": lambda: record(
        89, partial(pair, spyx.nn.RCuBaLIF, {}, {}), "RCuBaLIF", RECURRENT, reset="subtract"
    ),
    "psu": lambda: record(
        86,
        partial(pair, PSU, {"beta": 0.8}, {"beta": 0.9}),
        "PSU_LIF(beta)",
        ("layer_1_threshold", "layer_3_threshold"),
        (0, 0),
        reset="none",
    ),
}

if __name__ == "__main__":
    main("spyx", ["spyx", "jax", "flax"], RECORDINGS, __file__, LIVE)
