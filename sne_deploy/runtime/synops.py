"""Synaptic operations, from the spikes that were sent and the synapses that exist; compartments' updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program

Array = npt.NDArray[Any]


def synops_into(
    program: Program,
    target: str,
    samples: int,
    sent: Callable[[str, int], Array],
    *,
    graph_timing: bool = False,
) -> Array:
    """Spikes that arrive at existing synapses onto a group within the sample.

    A synapse delivers what its source sent at step t at step t + lag, or never where the sample ends before.

    Parameters
    ----------
    program : Program
    target : str
        A group.
    samples : int
    sent : callable
        Gives, for the name of a group or the input and a number of steps, the spikes that each of its
        neurons sent in as many steps from the first: integers of shape (N, n), the Program's order.
    graph_timing : bool
        Every synapse delivers when the graph says, also where the chip is late.

    Returns
    -------
    int64 array of shape (N,)
    """
    total = np.zeros(samples, np.int64)
    for synapse in program.synapses_into(target):
        reached = fan_out(synapse.weights)
        if synapse.source == ALWAYS_ON:
            total += reached.sum() * program.timesteps
            continue
        lag = program.lag(synapse) - (synapse.late if graph_timing else 0)
        counts = sent(synapse.source, max(program.timesteps - lag, 0))
        # Products in float64 are exact below 2^53, and many times faster than those of integers.
        total += np.rint(counts.astype(np.float64) @ reached.astype(np.float64)).astype(np.int64)
    return total


def updates_of(program: Program, group: NeuronGroup, active: Array) -> tuple[Array, Array]:
    """Active and idle updates of a group's compartments, int64 arrays of shape (N,).

    ``active`` counts its neurons' alone. Every compartment of a neuron is updated with it: a soft reset takes
    two on Loihi 1.
    """
    each = program.compartments(group)
    return each * active, each * (group.size * program.timesteps - active)
