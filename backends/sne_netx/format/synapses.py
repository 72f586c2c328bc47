"""Weights of a ``.net`` layer as synapses of 8 bits: by sign where they are odd, by delay where that differs.

Loihi stores weights of both signs in steps of 2, weights of one sign in steps of 1. So a layer that holds odd
weights of both signs becomes two synapses, one for each sign: the same sums, and the same number of synapses
for every spike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.registers import SignMode
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.registers import sign_mode_of
from sne_deploy.ir.weights import DenseWeights, SparseWeights, Weights
from sne_netx.format.layers import FORMATS

Array = npt.NDArray[Any]

CONV_LIMIT = 2**23 - 1
"""Lava's fixed-point convolution wraps its sums at 24 bits."""


def sign_parts(weights: Weights) -> list[tuple[SignMode, Weights]]:
    """The weights as one synapse, or one for each sign.

    Raises
    ------
    ValueError
        A weight exceeds 8 bits.
    """
    values = np.asarray(weights.values)
    mode = sign_mode_of(values, FORMATS)
    if mode != "mixed" or not bool(np.any(values & 1)):
        return [(mode, _in_range(mode, weights))]
    return [
        ("excitatory", _in_range("excitatory", weights.with_values(np.maximum(values, 0)))),
        ("inhibitory", _in_range("inhibitory", weights.with_values(np.minimum(values, 0)))),
    ]


def _in_range(mode: SignMode, weights: Weights) -> Weights:
    stored = FORMATS.weight_range(mode)
    low, high = stored.low, stored.high
    values = np.asarray(weights.values)
    smallest, largest = int(values.min(initial=0)), int(values.max(initial=0))
    if smallest < low or largest > high:
        raise ValueError(f"weights reach {smallest}..{largest}, outside {low}..{high} ({mode})")
    return weights


def check_conv(kernel: Array) -> None:
    """Check that no sum of a convolution wraps in Lava.

    Raises
    ------
    ValueError
        Some sum could.
    """
    largest = int(np.abs(kernel.astype(np.int64)).reshape(len(kernel), -1).sum(axis=1).max())
    if largest > CONV_LIMIT:
        raise ValueError(f"sums reach {largest}, and Lava's convolution wraps above {CONV_LIMIT}")


def synapses_of(
    base: Synapse, weights: Weights, delay: Array | None = None, saturated: int = 0
) -> tuple[Synapse, ...]:
    """All synapses of a layer.

    Parameters
    ----------
    base : Synapse
        Name, ends and gating; its weights are replaced.
    weights : Weights
    delay : int array of shape (n_out, n_in), or None
        Of dense weights.
    saturated : int
        Weights that netx clipped.

    Raises
    ------
    ValueError
        A weight exceeds 8 bits.
    """
    found: list[Synapse] = []
    for steps, part in delay_parts(weights, delay):
        for mode, signed in sign_parts(part):
            name = base.name + (f".delay{steps}" if steps else "")
            if mode != sign_mode_of(np.asarray(part.values), FORMATS):
                name += f".{mode}"
            found.append(
                Synapse(
                    name=name,
                    source=base.source,
                    target=base.target,
                    weights=signed,
                    sign_mode=mode,
                    delay=steps,
                    within_sample=base.within_sample or steps > 0,
                    saturated_weights=saturated if not found else 0,
                    quantisation_snr_db=base.quantisation_snr_db,
                )
            )
    return tuple(found)


def delay_parts(weights: Weights, delay: Array | None) -> list[tuple[int, Weights]]:
    """The weights as one synapse for each delay."""
    if delay is None or not isinstance(weights, DenseWeights):
        return [(0, weights)]
    steps = [int(value) for value in np.unique(delay[weights.array != 0])]
    if len(steps) <= 1:
        return [(steps[0] if steps else 0, weights)]
    return [
        (value, SparseWeights(sparse.csr_matrix(np.where(delay == value, weights.array, 0))))
        for value in steps
    ]
