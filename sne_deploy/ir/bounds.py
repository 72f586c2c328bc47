"""Worst-case ranges of u and v over one sample: what proves that a state cannot wrap or saturate.

Every update is monotone in the state and in the input, so the extreme trajectories (every excitatory
synapse active at every step and no inhibitory one, and the reverse) bound all others, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.ir.program import HostAffine, NeuronGroup, ProgramInput, Synapse
from sne_deploy.ir.registers import decay

Array = npt.NDArray[Any]

_BEYOND = 2**40
"""Clipping here keeps the products in int64, and is far outside every register."""


@dataclass(frozen=True)
class StateBounds:
    """Largest and smallest u and v that any input can produce, before wrapping or saturation."""

    u_min: float
    u_max: float
    v_min: float
    v_max: float

    def u_may_wrap(self, formats: RegisterFormats) -> bool:
        """Whether u can leave (-2^state_bits, 2^state_bits]."""
        return self.u_max > formats.state_limit or self.u_min <= -formats.state_limit

    @property
    def v_extent(self) -> float:
        """The largest magnitude of v."""
        return max(self.v_max, -self.v_min)


def host_range(host: HostAffine, program_input: ProgramInput) -> tuple[Array, Array]:
    """Smallest and largest constant current of every neuron over the input's range, before rounding.

    Returns
    -------
    low, high : float64 arrays of shape (n,)
    """
    low, high = program_input.range
    positive = np.asarray(host.matrix.maximum(0).sum(axis=1)).reshape(-1)
    negative = np.asarray(host.matrix.minimum(0).sum(axis=1)).reshape(-1)
    return positive * low + negative * high + host.bias, positive * high + negative * low + host.bias


def synaptic_range(synapses: Sequence[Synapse], size: int) -> tuple[Array, Array]:
    """Smallest and largest ``a_in`` of every neuron in one step, host excluded: arrays of shape (n,)."""
    low, high = np.zeros(size), np.zeros(size)
    for synapse in synapses:
        least, most = synapse.weights.input_range()
        low += least * float(2**synapse.weight_exp)
        high += most * float(2**synapse.weight_exp)
    return low, high


def fixed_bounds(
    group: NeuronGroup, low: Array, high: Array, timesteps: int, formats: RegisterFormats
) -> StateBounds:
    """Bounds of a fixed-point group whose ``a_in`` lies in [low, high] at every step (integers)."""
    bits, shift = formats.decay_bits, formats.state_shift
    keep_u = formats.decay_unity - group.du.astype(np.int64) - 1
    keep_v = formats.decay_unity - group.dv.astype(np.int64)
    bias = group.bias_mant.astype(np.int64) << group.bias_exp
    ceiling = (group.vth_mant.astype(np.int64) << shift) if group.spiking else np.int64(2**62)
    subtracted = None if group.vsub_mant is None else group.vsub_mant.astype(np.int64) << shift
    u_low = u_high = np.zeros(group.size, dtype=np.int64)
    v_low = v_high = np.broadcast_to(group.v_init.astype(np.int64), (group.size,))
    low, high = low.astype(np.int64) << shift, high.astype(np.int64) << shift
    u_min = u_max = 0
    v_min, v_max = int(v_low.min()), int(v_high.max())
    for _ in range(timesteps):
        u_low, u_high = decay(u_low, keep_u, bits) + low, decay(u_high, keep_u, bits) + high
        v_low = decay(v_low, keep_v, bits) + u_low + bias
        v_high = decay(v_high, keep_v, bits) + u_high + bias
        u_min, u_max = min(u_min, int(u_low.min())), max(u_max, int(u_high.max()))
        v_min, v_max = min(v_min, int(v_low.min())), max(v_max, int(v_high.max()))
        if group.spiking:
            v_low, v_high = _after_reset(v_low, v_high, ceiling, subtracted)
        u_low, u_high = np.maximum(u_low, -_BEYOND), np.minimum(u_high, _BEYOND)
        v_low, v_high = np.maximum(v_low, -_BEYOND), np.minimum(v_high, _BEYOND)
    return StateBounds(u_min, u_max, v_min, v_max)


def float_bounds(group: NeuronGroup, low: Array, high: Array, timesteps: int) -> StateBounds:
    """Bounds of a floating-point group, in its own units; registers are these times the scale."""
    ceiling = group.vth_mant if group.spiking else np.inf
    u_low = u_high = np.zeros(group.size)
    v_low = v_high = np.broadcast_to(group.v_init, (group.size,)).astype(np.float64)
    u_min = u_max = 0.0
    v_min, v_max = float(v_low.min()), float(v_high.max())
    for _ in range(timesteps):
        u_low, u_high = (1 - group.du) * u_low + low, (1 - group.du) * u_high + high
        v_low = (1 - group.dv) * v_low + u_low + group.bias_mant
        v_high = (1 - group.dv) * v_high + u_high + group.bias_mant
        u_min, u_max = min(u_min, float(u_low.min())), max(u_max, float(u_high.max()))
        v_min, v_max = min(v_min, float(v_low.min())), max(v_max, float(v_high.max()))
        if group.spiking:
            v_low, v_high = _after_reset(v_low, v_high, ceiling, group.vsub_mant)
    return StateBounds(u_min, u_max, v_min, v_max)


def _after_reset(low: Array, high: Array, threshold: Any, subtracted: Array | None) -> tuple[Array, Array]:
    """Bounds of v after the resets by spikes, of a v in [low, high] before them."""
    if subtracted is None:
        return np.minimum(low, 0), np.clip(high, 0, np.maximum(threshold, 0))
    lowest = np.where(high > threshold, np.minimum(low, threshold - subtracted), low)
    return lowest, np.maximum(np.minimum(high, threshold), high - subtracted)
