"""The order of neurons inside the simulator: channels last where a convolution touches a group of neurons.

A convolution then adds contiguous rows. Outside, everything is in the Program's order (C order, channels
first); the two are a permutation of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import ALWAYS_ON, Program
from sne_deploy.ir.weights import ConvWeights

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class NeuronOrder:
    """Order of n neurons: n / channels places with ``channels`` each; 1 is the Program's order."""

    size: int
    channels: int = 1

    @property
    def order(self) -> Array:
        """int64 (n,): the Program's index of each inner neuron."""
        places = self.size // self.channels
        return np.arange(self.size).reshape(self.channels, places).T.reshape(-1)

    def inside(self, values: Array) -> Array:
        """Reorder the last axis from the Program's order to the inner one."""
        if self.channels == 1:
            return np.ascontiguousarray(values)
        places = self.size // self.channels
        split = values.reshape(*values.shape[:-1], self.channels, places)
        return np.ascontiguousarray(np.swapaxes(split, -1, -2)).reshape(values.shape)

    def outside(self, values: Array) -> Array:
        """Reorder the last axis back."""
        if self.channels == 1:
            return values
        places = self.size // self.channels
        split = values.reshape(*values.shape[:-1], places, self.channels)
        return np.ascontiguousarray(np.swapaxes(split, -1, -2)).reshape(values.shape)


def orders(program: Program) -> Mapping[str, NeuronOrder]:
    """The order of the input (the Program's order: it need not be copied) and of every group, by name.

    The first convolution that touches a group decides.
    """
    sizes = {group.name: group.size for group in program.groups}
    sizes[program.input.name] = program.input.size
    channels: dict[str, int] = {}
    for synapse in program.synapses:
        if isinstance(synapse.weights, ConvWeights) and synapse.source != ALWAYS_ON:
            if synapse.source != program.input.name:
                channels.setdefault(synapse.source, synapse.weights.in_shape[0])
            channels.setdefault(synapse.target, synapse.weights.out_shape[0])
    return {name: NeuronOrder(size, channels.get(name, 1)) for name, size in sizes.items()}
