"""A group with all that enters it: in real numbers, and in registers with what is proven of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.ir.bounds import StateBounds, host_range, neuron_bounds, state_bounds, synaptic_range
from sne_deploy.ir.clipping import clips_harmlessly
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import powers_of, row_powers
from sne_deploy.neurons.table import MODELS
from sne_deploy.passes import lattice
from sne_deploy.passes.weight_registers import WeightSample, extent, quantise_synapse

Array = npt.NDArray[Any]

GRID_PER_OCTAVE = 16
OCTAVES = 10
HEADROOM_BITS = 3
"""A spiking group's threshold stays this many bits below v's range, so that v can go as far below zero."""


COARSE = 2**7
"""A threshold of fewer stored units errs by 0.4 % or more, and so does a current from the host beside it."""


def spiking_limit(formats: RegisterFormats, headroom_bits: int = HEADROOM_BITS) -> int:
    """The largest threshold of a spiking group, in v's units."""
    return min(1 << (formats.state_bits - headroom_bits), formats.vth_max)


@dataclass(frozen=True, eq=False)
class QuantisedGroup:
    """A group and its synapses in registers, with what is proven of its state.

    Attributes
    ----------
    group : NeuronGroup
    parts : tuple of tuple of Synapse
        What each synapse of ``job`` became.
    bounds : StateBounds
    v_max : int array of shape (n,)
        The largest v of each neuron that any input can produce.
    job : GroupJob
        What was quantised.
    scale : float
        Register units of v per unit of the job.
    """

    group: NeuronGroup
    parts: tuple[tuple[Synapse, ...], ...]
    bounds: StateBounds
    v_max: Array
    job: GroupJob
    scale: float

    @property
    def synapses(self) -> tuple[Synapse, ...]:
        """Every synapse in registers."""
        return tuple(part for parts in self.parts for part in parts)

    def stored(self, index: int, rows: slice = slice(None)) -> Array:
        """The weights of the job's synapse of that index, as its registers have them, in the job's units."""
        unit = 2.0**self.job.formats.state_shift / self.scale
        first, *others = (p.weights.values[rows] * (unit * 2.0**p.weight_exp) for p in self.parts[index])
        return np.asarray(sum(others, first))

    def neuron_errors(self) -> Array:
        """Relative squared error of each neuron's weights, threshold and constant input: (n,)."""
        job, size = self.job, self.group.size
        noise = np.zeros(size)
        for index, synapse in enumerate(job.synapses):
            noise += powers_of(synapse.weights, partial(self._lost, index))
        error = np.divide(noise, job.powers, out=np.zeros(size), where=job.powers > 0)
        unit = 2.0**job.formats.state_shift / self.scale
        if job.host is not None:
            drive = np.maximum(np.abs(job.host_low), np.abs(job.host_high))
            error += np.divide(unit**2 / 12, drive**2, out=np.zeros(size), where=drive > 0)
        if job.group.spiking:
            error += np.square(np.asarray(self.group.vth_mant) * unit / job.group.vth_mant - 1)
        return error

    def _lost(self, index: int, rows: slice) -> Array:
        return np.asarray(self.job.synapses[index].weights.values[rows] - self.stored(index, rows))


@dataclass(frozen=True, eq=False)
class GroupJob:
    """One floating-point group with all that enters it."""

    student: str
    group: NeuronGroup
    synapses: tuple[Synapse, ...]
    host: HostAffine | None
    host_low: Array
    host_high: Array
    timesteps: int
    formats: RegisterFormats
    float_state: StateBounds
    """Worst case in floating point, in the student's units."""
    samples: tuple[WeightSample, ...]
    """One per synapse."""
    factor: float | Array = 1.0
    """The student's unit in units of the job, of each neuron."""
    may_clip: bool = False
    """Currents from the host above the threshold may be clipped: no spike depends on how large they are."""

    @staticmethod
    def of(program: Program, group: NeuronGroup, formats: RegisterFormats) -> GroupJob:
        """Collect what enters a group of a floating-point Program."""
        host = program.host_of(group.name)
        zeros = np.zeros(group.size)
        low, high = (zeros, zeros) if host is None else host_range(host, program.input)
        synapses = program.synapses_into(group.name)
        syn_low, syn_high = synaptic_range(synapses, group.size)
        state = state_bounds(group, low + syn_low, high + syn_high, program.timesteps)
        samples = tuple(WeightSample.of(synapse, formats) for synapse in synapses)
        return GroupJob(
            program.name,
            group,
            synapses,
            host,
            low,
            high,
            program.timesteps,
            formats,
            state,
            samples,
            may_clip=clips_harmlessly(group, synapses, program.input.kind),
        )

    @cached_property
    def powers(self) -> Array:
        """Sum of squares of each neuron's weights: (n,)."""
        powers = (row_powers(s.weights, np.asarray(s.weights.values)) for s in self.synapses)
        return np.asarray(sum(powers, np.zeros(self.group.size)))

    def largest_scale(self, headroom_bits: int = HEADROOM_BITS) -> float:
        """The scale at which the first register overflows.

        Of a current from the host that may be clipped, and would leave thresholds too coarse, twice the
        threshold has to fit.
        """
        drive = max(extent(self.host_low), extent(self.host_high))
        largest = self._largest_scale(drive, headroom_bits)
        least = float(np.min(self.group.vth_mant)) * largest / 2**self.formats.state_shift
        if not self.may_clip or least >= COARSE:
            return largest
        return max(largest, self._largest_scale(2 * extent(self.group.vth_mant), headroom_bits))

    def _largest_scale(self, drive: float, headroom_bits: int) -> float:
        group, formats = self.group, self.formats
        largest_weight = 2 ** (formats.state_shift + formats.weight_exp_max) * formats.weight_max
        limits = [
            (spiking_limit(formats, headroom_bits), extent(group.vth_mant) if group.spiking else 0.0),
            (formats.vth_max, 0.0 if group.vsub_mant is None else extent(group.vsub_mant)),
            (formats.bias_mant_max * 2**formats.bias_exp_max, extent(group.bias_mant)),
            (formats.state_limit - 1, extent(group.v_init)),
            (formats.bias_mant_max * 2**formats.state_shift, drive),
            *((largest_weight, sample.largest) for sample in self.samples),
        ]
        finite = [limit / extent for limit, extent in limits if extent > 0]
        return float(min(finite)) if finite else 1.0

    def quantise(self, scale: float) -> QuantisedGroup:
        """Everything in registers at this scale, with the error it makes and the proven bounds."""
        registers = MODELS[self.group.kind].dynamics.registers(self.group, scale, self.formats)
        group = replace(self.group, scale=scale * self.factor, **registers)
        parts = tuple(quantise_synapse(synapse, scale, self.formats) for synapse in self.synapses)
        low, high = synaptic_range([part for each in parts for part in each], group.size)
        unit = scale / 2**self.formats.state_shift
        limit = self.formats.bias_mant_max
        low = low + np.clip(np.rint(self.host_low * unit), -limit, limit)
        high = high + np.clip(np.rint(self.host_high * unit), -limit, limit)
        of_neurons = neuron_bounds(group, low, high, self.timesteps, self.formats)
        bounds, (*_, v_max) = StateBounds.over(*of_neurons), of_neurons
        return QuantisedGroup(group, parts, bounds, v_max, self, scale)

    def scales(self) -> tuple[float, ...]:
        """The scales to try."""
        top = self.largest_scale()
        grid = top * 2.0 ** (-np.arange(GRID_PER_OCTAVE * OCTAVES) / GRID_PER_OCTAVE)
        exact = {scale for sample in self.samples for scale in sample.exact_scales(self.formats)}
        return (*(float(scale) for scale in grid), *sorted(scale for scale in exact if scale <= top))

    def relative_error(self, scale: float) -> float:
        """Relative squared error of weights, threshold, constant input and decay at this scale."""
        error = 0.0
        signal = sum(sample.power for sample in self.samples)
        if signal > 0:
            error += sum(sample.error(scale, self.formats) for sample in self.samples) / signal
        unit = 2**self.formats.state_shift / scale
        reference = extent(self.group.vth_mant) if self.group.spiking else self.float_state.v_extent
        if self.group.spiking:
            exact = self.group.vth_mant / unit
            error += float(np.max(((np.maximum(np.rint(exact), 1) - exact) / exact) ** 2))
        if self.host is not None:
            largest = max(extent(self.host_low), extent(self.host_high))
            error += (unit**2 / 12) / largest**2 if largest > 0 else 0.0
        memory = np.minimum(1 / np.maximum(self.group.dv, 1e-9), self.timesteps)
        if reference > 0:
            error += (0.5 * float(np.max(memory)) / (scale * reference)) ** 2
        return error

    def native_scale(self) -> float | None:
        """The scale of the registers that the network was trained in, if its constants say so."""
        if not self.samples or not self.samples[0].exact_scales(self.formats):
            return None
        top = self.largest_scale(0) * (1 + lattice.TOLERANCE)
        for scale in lattice.native_scales(self.group, self.formats):
            whole = scale <= top and lattice.whole_registers(self.group, scale, self.formats)
            if whole and all(sample.is_exact(scale, self.formats) for sample in self.samples):
                return scale
        return None

    def neuron_bounds(self) -> tuple[Array, Array, Array, Array]:
        """Of every neuron, in real numbers: see :func:`sne_deploy.ir.bounds.neuron_bounds`."""
        low, high = synaptic_range(self.synapses, self.group.size)
        return neuron_bounds(self.group, self.host_low + low, self.host_high + high, self.timesteps)
