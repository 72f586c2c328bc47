"""The search for a group's scale: least measured error among the scales that are proven safe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.bounds import StateBounds, host_range, state_bounds, synaptic_range
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.neurons.table import MODELS
from sne_deploy.passes.weight_registers import WeightSample, extent, quantise_synapse

Array = npt.NDArray[Any]

GRID_PER_OCTAVE = 16
OCTAVES = 10
HEADROOM_BITS = 3
"""A spiking group's threshold stays this many bits below v's range, so that v can go as far below zero."""
UNPROVEN_GAIN_DB = 6.0
"""A scale whose bound is not proven is taken, with a warning, only if it is better by this much,
and only where the best proven one errs by more than ENOUGH_DB."""
ENOUGH_DB = -45.0


def register_context(student: str, formats: RegisterFormats) -> str:
    """How errors of quantisation begin."""
    return f"student {student!r}: cannot be expressed in the registers of {formats.chip}"


@dataclass(frozen=True, eq=False)
class QuantisedGroup:
    """A group and its synapses in registers, with what is proven of its state."""

    group: NeuronGroup
    synapses: tuple[Synapse, ...]
    bounds: StateBounds


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
            program.name, group, synapses, host, low, high, program.timesteps, formats, state, samples
        )

    def largest_scale(self) -> float:
        """The scale at which the first register overflows."""
        group, formats = self.group, self.formats
        spiking_limit = min(2 ** (formats.state_bits - HEADROOM_BITS), formats.vth_max)
        drive = max(extent(self.host_low), extent(self.host_high))
        largest_weight = 2 ** (formats.state_shift + formats.weight_exp_max) * formats.weight_max
        limits = [
            (spiking_limit, extent(group.vth_mant) if group.spiking else 0.0),
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
        group = replace(self.group, scale=scale, **registers)
        synapses = tuple(
            part for synapse in self.synapses for part in quantise_synapse(synapse, scale, self.formats)
        )
        low, high = synaptic_range(synapses, group.size)
        unit = scale / 2**self.formats.state_shift
        limit = self.formats.bias_mant_max
        low = low + np.clip(np.rint(self.host_low * unit), -limit, limit)
        high = high + np.clip(np.rint(self.host_high * unit), -limit, limit)
        bounds = state_bounds(group, low, high, self.timesteps, self.formats)
        return QuantisedGroup(group, synapses, bounds)

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


def quantise_best(job: GroupJob) -> QuantisedGroup:
    """At the scale of least error whose bounds are proven; see UNPROVEN_GAIN_DB for the exception."""
    top, formats = job.largest_scale(), job.formats
    grid = top * 2.0 ** (-np.arange(GRID_PER_OCTAVE * OCTAVES) / GRID_PER_OCTAVE)
    ranked = sorted((job.relative_error(float(scale)), -float(scale)) for scale in grid)
    state = job.float_state
    u_extent = max(state.u_max, -state.u_min)
    for error, negative_scale in ranked:
        scale = -negative_scale
        likely = scale * u_extent <= formats.state_limit * 1.02
        if not job.group.spiking:
            likely = likely and scale * state.v_extent <= formats.vth_max * 1.02
        if likely and _proven(quantised := job.quantise(scale), job):
            best_error = ranked[0][0]
            worse_db = 10 * np.log10(max(error, 1e-30) / max(best_error, 1e-30))
            enough = 10 * np.log10(max(error, 1e-30)) <= ENOUGH_DB
            if job.group.spiking and worse_db > UNPROVEN_GAIN_DB and not enough:
                break
            return quantised
    if job.group.spiking:
        return job.quantise(-ranked[0][1])
    raise UnsupportedError(
        register_context(job.student, formats),
        [
            (
                f"readout {job.group.name!r} can reach |v| = {state.v_extent:g}; no scale keeps it within "
                f"{formats.vth_max} in {formats.weight_bits}-bit weights; use fewer inputs, smaller weights "
                "or shorter time constants"
            )
        ],
    )


def _proven(quantised: QuantisedGroup, job: GroupJob) -> bool:
    if quantised.bounds.u_may_wrap(job.formats):
        return False
    return job.group.spiking or quantised.bounds.v_extent <= job.formats.vth_max
