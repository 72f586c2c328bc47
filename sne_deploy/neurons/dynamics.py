"""What the leaky models compute, on a chip and in real numbers: registers, bounds and a reference step.

A step of a neuron, with a_in what its synapses and the host deliver::

    registers   u <- sign(u) (|u| (4096 - du - 1) >> 12) + (a_in << 6)      one correction by 2^24
                v <- sign(v) (|v| (4096 - dv) >> 12) + u + (bias_mant << bias_exp)          saturated
                spike if v > vth_mant << 6, then v <- 0, or v <- v - (vsub_mant << 6)
    reals       u <- (1 - du) u + a_in;  v <- (1 - dv) v + u + bias_mant;  spike if v > vth_mant, likewise

Where the reset is delayed, a spike leaves v, and a step that finds v above the threshold makes it 0 instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats

if TYPE_CHECKING:
    from sne_deploy.ir.program import NeuronGroup

Array = npt.NDArray[Any]


def rounded(value: Array, least: int, most: int) -> Array:
    """To the nearest integer that a register holds: int32."""
    return np.asarray(np.clip(np.rint(value), least, most), dtype=np.int32)


class Dynamics:
    """A group's update; a model with another one overrides what differs.

    ``current`` and ``membrane`` are monotone in everything that they get, which the bounds rely on: the
    extreme trajectories bound all others. Two states are no further apart after a step than before it.

    Parameters
    ----------
    group : NeuronGroup
    formats : RegisterFormats or None
        Of a group in registers; None: of real numbers.
    """

    def __init__(self, group: NeuronGroup, formats: RegisterFormats | None) -> None:
        self.group, self.formats = group, formats
        self.keep_u, self.keep_v = self._kept(group.du, 1), self._kept(group.dv, 0)
        self.bias = group.bias_mant if formats is None else self.wide(group.bias_mant) << group.bias_exp
        self.v_th = self.entering(group.vth_mant)
        self.v_sub = None if group.vsub_mant is None else self.entering(group.vsub_mant)

    @staticmethod
    def registers(group: NeuronGroup, scale: float, formats: RegisterFormats) -> dict[str, Any]:
        """The registers of a group of real numbers, ``scale`` units of v per unit: fields of NeuronGroup.

        The bias gets the smallest exponent it may.
        """
        bias = np.asarray(group.bias_mant) * scale
        exponent = formats.bias_exp_min if np.any(bias) else 0
        while np.max(np.abs(np.rint(bias / 2**exponent))) > formats.bias_mant_max:
            if exponent == formats.bias_exp_max:
                break
            exponent += 1
        unity, v_unit, v_most = formats.decay_unity, scale / 2**formats.state_shift, formats.state_limit - 1
        vth_least, vth = (1, group.vth_mant) if group.spiking else (0, np.zeros(()))
        soft = group.vsub_mant
        return {
            "du": rounded(np.rint(group.du * unity) - 1, 0, formats.decay_max),
            "dv": rounded(group.dv * unity, 0, formats.decay_max),
            "vth_mant": rounded(vth * v_unit, vth_least, formats.vth_mant_max),
            "bias_mant": rounded(bias / 2**exponent, formats.bias_mant_min, formats.bias_mant_max),
            "bias_exp": exponent,
            "v_init": rounded(group.v_init * scale, -v_most, v_most),
            "vsub_mant": None if soft is None else rounded(soft * v_unit, 0, formats.vth_mant_max),
        }

    @staticmethod
    def wide(register: Array) -> Array:
        """In 64 bits, which hold every product and sum before it wraps."""
        return np.asarray(register).astype(np.int64)

    def _kept(self, decay: Array, more: int) -> Array:
        """What is left of a state after a step: an integer of 1 / 2^decay_bits, or a fraction."""
        return 1 - decay if self.formats is None else self.formats.decay_unity - self.wide(decay) - more

    def start(self) -> tuple[Array, Array]:
        """U and v at the beginning of a sample: arrays of shape (n,)."""
        kind = np.float64 if self.formats is None else np.int64
        v = np.broadcast_to(self.group.v_init, (self.group.size,)).astype(kind)
        return np.zeros_like(v), v

    def entering(self, a_in: Array) -> Array:
        """What is delivered, or a threshold, in units of u and v."""
        return np.asarray(a_in) if self.formats is None else self.wide(a_in) << self.formats.state_shift

    def decayed(self, state: Array, kept: Array) -> Array:
        """A state after a step without input, rounded toward zero."""
        if self.formats is None:
            return np.asarray(kept * state)
        return np.asarray(np.sign(state) * ((np.abs(state) * kept) >> self.formats.decay_bits))

    def current(self, u: Array, entering: Array) -> Array:
        """U after a step, before it wraps."""
        return np.asarray(self.decayed(u, self.keep_u) + entering)

    def membrane(self, v: Array, u: Array) -> Array:
        """V after a step with the new u, before it saturates and spikes."""
        return np.asarray(self.decayed(v, self.keep_v) + u + self.bias)

    def above(self, v: Array) -> Array:
        """Which neurons' v makes a spike."""
        return v > self.v_th if self.group.spiking else np.zeros(v.shape, dtype=bool)

    def fire(self, v: Array) -> tuple[Array, Array]:
        """Which neurons spike, and v after their reset."""
        spikes = self.above(v)
        if self.group.reset_delayed:
            return spikes, v
        return spikes, np.where(spikes, 0 if self.v_sub is None else v - self.v_sub, v)

    def after_reset(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Bounds of v after the resets by spikes, of a v in [low, high] before them."""
        if not self.group.spiking:
            return low, high
        if self.v_sub is None:
            return np.minimum(low, 0), np.clip(high, 0, np.maximum(self.v_th, 0))
        lowest = np.where(high > self.v_th, np.minimum(low, self.v_th - self.v_sub), low)
        return lowest, np.maximum(np.minimum(high, self.v_th), high - self.v_sub)

    def waited(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Bounds of v after a step, where some neurons may be at 0 in place of it: after a delayed reset."""
        return (np.minimum(low, 0), np.maximum(high, 0)) if self.group.reset_delayed else (low, high)

    def step(self, u: Array, v: Array, a_in: Array) -> tuple[Array, Array, Array]:
        """One step of every neuron: u, v after the reset, and the spikes."""
        u = self.current(u, self.entering(a_in))
        if self.formats is not None:
            half, full = self.formats.state_limit, 2 * self.formats.state_limit
            u = np.where(u > half, u - full, np.where(u <= -half, u + full, u))
        waits = self.above(v) & self.group.reset_delayed
        v = np.where(waits, 0, self.membrane(v, u))
        if self.formats is not None:
            v = np.clip(v, 1 - self.formats.state_limit, self.formats.state_limit - 1)
        spikes, v = self.fire(v)
        return u, v, spikes
