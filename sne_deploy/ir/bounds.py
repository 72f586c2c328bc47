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
from sne_deploy.ir.extremes import extremes
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.neurons.table import MODELS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class StateBounds:
    """Largest and smallest u and v that any input can produce, before wrapping or saturation."""

    u_min: float
    u_max: float
    v_min: float
    v_max: float

    @staticmethod
    def over(u_min: Array, u_max: Array, v_min: Array, v_max: Array) -> StateBounds:
        """Of a group whose neurons have these."""
        return StateBounds(u_min.min().item(), u_max.max().item(), v_min.min().item(), v_max.max().item())

    def u_may_wrap(self, formats: RegisterFormats) -> bool:
        """Whether u can leave (-2^state_bits, 2^state_bits]."""
        return self.u_max > formats.state_limit or self.u_min <= -formats.state_limit

    def v_may_saturate(self, formats: RegisterFormats) -> bool:
        """Whether v can be clipped; where u can wrap, it can end up anywhere and so can v."""
        return self.u_may_wrap(formats) or self.v_extent >= formats.state_limit

    @property
    def v_extent(self) -> float:
        """The largest magnitude of v."""
        return max(self.v_max, -self.v_min)


def host_range(host: HostAffine, program_input: ProgramInput) -> tuple[Array, Array]:
    """Smallest and largest current from the host of every neuron over the input's range, before rounding.

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


def state_bounds(
    group: NeuronGroup, low: Array, high: Array, timesteps: int, formats: RegisterFormats | None = None
) -> StateBounds:
    """Bounds of a group whose ``a_in`` lies in [low, high] at every step.

    Parameters
    ----------
    formats : RegisterFormats or None
        Of a group in registers, whose ``a_in`` are integers; None: of real numbers, in the group's own units.
    """
    return StateBounds.over(*neuron_bounds(group, low, high, timesteps, formats))


def neuron_bounds(
    group: NeuronGroup, low: Array, high: Array, timesteps: int, formats: RegisterFormats | None = None
) -> tuple[Array, Array, Array, Array]:
    """The same of every neuron: smallest and largest u, smallest and largest v, arrays of shape (n,)."""
    reached = extremes(MODELS[group.kind].dynamics(group, formats), low, high, timesteps)
    return reached.u[0], reached.u[1], reached.v[0], reached.v[1]


def register_notes(program: Program) -> list[str]:
    """Groups of a fixed-point Program whose u may wrap or v run away upwards, as far as bounds can say."""
    found, limit = [], program.registers.state_limit
    for name, bounds in register_bounds(program).items():
        where = f"student {program.name!r}, layer {name!r}"
        if bounds.u_may_wrap(program.registers):
            extent = max(bounds.u_max, -bounds.u_min)
            found.append(f"{where}: u may wrap; in the worst case |u| reaches {extent:.0f}, past {limit}")
        elif program.group(name).vsub_mant is not None and bounds.v_max >= limit:
            found.append(
                f"{where}: with its soft reset, v may saturate; in the worst case it reaches "
                f"{bounds.v_max:.0f}"
            )
    return found


def register_bounds(program: Program) -> dict[str, StateBounds]:
    """Bounds of every group of a fixed-point Program, by name, over all inputs in its range."""
    found = {}
    for group in program.groups:
        low, high = synaptic_range(program.synapses_into(group.name), group.size)
        host = program.host_of(group.name)
        if host is not None and host.register_scale is not None and host.register_limit is not None:
            limit = host.register_limit
            least, most = (
                np.clip(np.rint(end * host.register_scale), -limit, limit)
                for end in host_range(host, program.input)
            )
            low, high = low + least, high + most
        found[group.name] = state_bounds(group, low, high, program.timesteps, program.registers)
    return found
