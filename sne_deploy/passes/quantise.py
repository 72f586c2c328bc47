"""Pass: floating-point Program -> fixed-point Program in Loihi's registers.

Each group gets one scale S (register units of v per unit of the student's membrane); everything that
enters the group follows from it: ``w_q 2^(weight_exp + 6) = S w``, ``vth_mant 2^6 = S (v_th - v_reset)``,
``bias_mant 2^bias_exp = S bias``, ``a_in 2^6 = S c``. S is searched, not derived from the maximum: on a
logarithmic grid the error that rounding and clipping really make is measured, and the least one wins among
the scales for which worst-case bounds prove that u cannot wrap. A readout's v must be proven within the
largest threshold (8,388,544), since on the chip it is a neuron that must not spike.

Not modelled: errors weighted by how often an input is active.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import UnsupportedError
from sne_deploy.ir import registers as reg
from sne_deploy.ir.bounds import StateBounds, fixed_bounds, float_bounds, host_range, synaptic_range
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, Synapse

Array = npt.NDArray[Any]

GRID_PER_OCTAVE = 16
OCTAVES = 10
SAMPLED_WEIGHTS = 65536
"""Errors are measured on at most this many weights of a synapse, evenly spaced."""
HEADROOM_BITS = 3
"""A spiking group's threshold stays this many bits below v's range, so that v can go as far below zero."""
UNPROVEN_GAIN_DB = 6.0
"""A scale whose bound is not proven is taken, with a warning, only if it is better by this much."""


@dataclass(frozen=True)
class Quantise:
    """Requires a floating-point Program; produces a fixed-point one, with its warnings."""

    def apply(self, program: Program) -> Program:
        """Quantise every group with its synapses.

        Raises
        ------
        UnsupportedError
            A threshold at or below the reset value, or a readout that fits at no scale; all at once.
        """
        problems = [problem for group in program.groups if (problem := _unsupported(group))]
        if problems:
            raise UnsupportedError(_context(program.student), problems)
        groups: list[NeuronGroup] = []
        synapses: list[Synapse] = []
        warnings: list[str] = list(program.warnings)
        host = program.host
        for group in program.groups:
            job = _Job.of(program, group)
            scale = _choose_scale(job)
            quantised = job.quantise(scale)
            groups.append(quantised.group)
            synapses.extend(quantised.synapses)
            if job.host is not None:
                host = replace(job.host, register_scale=scale / 2**reg.STATE_SHIFT)
            warnings.extend(_warnings(quantised, job))
        return replace(
            program,
            precision="fixed",
            groups=tuple(groups),
            synapses=tuple(synapses),
            host=host,
            warnings=tuple(warnings),
        )


def _context(student: str) -> str:
    return f"student {student!r}: cannot be expressed in Loihi's registers"


def _unsupported(group: NeuronGroup) -> str | None:
    if group.spiking and float(np.min(group.vth_mant)) <= 0:
        worst = float(np.min(group.vth_mant))
        return (
            f"neuron group {group.name!r} has v_th - v_reset = {worst:g}; a threshold register holds "
            f"positive values only; train with v_th above v_reset"
        )
    return None


@dataclass(frozen=True, eq=False)
class _Quantised:
    group: NeuronGroup
    synapses: tuple[Synapse, ...]
    bounds: StateBounds
    relative_error: float


@dataclass(frozen=True, eq=False)
class _Job:
    """One floating-point group with all that enters it."""

    student: str
    group: NeuronGroup
    synapses: tuple[Synapse, ...]
    host: HostAffine | None
    host_low: Array
    host_high: Array
    timesteps: int
    float_state: StateBounds
    """Worst case in floating point, in the student's units."""

    @staticmethod
    def of(program: Program, group: NeuronGroup) -> _Job:
        host = program.host if program.host is not None and program.host.target == group.name else None
        zeros = np.zeros(group.size)
        low, high = (zeros, zeros) if host is None else host_range(host, program.input)
        synapses = program.synapses_into(group.name)
        syn_low, syn_high = synaptic_range(synapses, group.size)
        state = float_bounds(group, low + syn_low, high + syn_high, program.timesteps)
        return _Job(program.student, group, synapses, host, low, high, program.timesteps, state)

    def largest_scale(self) -> float:
        """The scale at which the first register overflows."""
        group = self.group
        spiking_limit = 2 ** (23 - HEADROOM_BITS)
        limits = [
            (
                spiking_limit if group.spiking else reg.VTH_MAX,
                _extent(group.vth_mant) if group.spiking else 0.0,
            ),
            (reg.BIAS_MANT_MAX * 2**reg.BIAS_EXP_MAX, _extent(group.bias_mant)),
            (reg.STATE_LIMIT - 1, _extent(group.v_init)),
            (reg.BIAS_MANT_MAX * 2**reg.STATE_SHIFT, max(_extent(self.host_low), _extent(self.host_high))),
        ]
        for synapse in self.synapses:
            largest = 2 ** (reg.STATE_SHIFT + reg.WEIGHT_EXP_MAX) * 254
            limits.append((largest, _extent(synapse.weights.values)))
        finite = [limit / extent for limit, extent in limits if extent > 0]
        return float(min(finite)) if finite else 1.0

    def quantise(self, scale: float) -> _Quantised:
        """Everything in registers at this scale, with the error it makes and the proven bounds."""
        group = _quantise_group(self.group, scale)
        synapses = tuple(_quantise_synapse(synapse, scale) for synapse in self.synapses)
        low, high = synaptic_range(synapses, group.size)
        unit = scale / 2**reg.STATE_SHIFT
        limit = reg.BIAS_MANT_MAX
        low = low + np.clip(np.rint(self.host_low * unit), -limit, limit)
        high = high + np.clip(np.rint(self.host_high * unit), -limit, limit)
        bounds = fixed_bounds(group, low, high, self.timesteps)
        return _Quantised(group, synapses, bounds, self.relative_error(scale))

    def relative_error(self, scale: float) -> float:
        """Relative squared error of weights, threshold, constant input and decay at this scale."""
        error = 0.0
        signal = sum(_power(synapse) for synapse in self.synapses)
        if signal > 0:
            error += sum(_synapse_error(synapse, scale) for synapse in self.synapses) / signal
        unit = 2**reg.STATE_SHIFT / scale
        reference = _extent(self.group.vth_mant) if self.group.spiking else self.float_state.v_extent
        if self.group.spiking:
            exact = self.group.vth_mant / unit
            error += float(np.max(((np.maximum(np.rint(exact), 1) - exact) / exact) ** 2))
        if self.host is not None:
            extent = max(_extent(self.host_low), _extent(self.host_high))
            error += (unit**2 / 12) / extent**2 if extent > 0 else 0.0
        memory = np.minimum(1 / np.maximum(self.group.dv, 1e-9), self.timesteps)
        if reference > 0:
            error += (0.5 * float(np.max(memory)) / (scale * reference)) ** 2
        return error


def _extent(values: Array) -> float:
    return float(np.max(np.abs(values))) if np.size(values) else 0.0


def _sampled(values: Array) -> Array:
    flat = np.asarray(values).reshape(-1)
    return flat[:: max(1, -(-flat.size // SAMPLED_WEIGHTS))]


def _power(synapse: Synapse) -> float:
    return float(np.sum(np.square(_sampled(synapse.weights.values))))


def _choose_scale(job: _Job) -> float:
    """Least error among the scales whose bounds are proven; see UNPROVEN_GAIN_DB for the exception."""
    top = job.largest_scale()
    grid = top * 2.0 ** (-np.arange(GRID_PER_OCTAVE * OCTAVES) / GRID_PER_OCTAVE)
    ranked = sorted((job.relative_error(float(scale)), -float(scale)) for scale in grid)
    state = job.float_state
    u_extent = max(state.u_max, -state.u_min)
    for error, negative_scale in ranked:
        scale = -negative_scale
        likely = scale * u_extent <= reg.STATE_LIMIT * 1.02
        if not job.group.spiking:
            likely = likely and scale * state.v_extent <= reg.VTH_MAX * 1.02
        if likely and _proven(job.quantise(scale), job.group):
            best_error = ranked[0][0]
            worse_db = 10 * np.log10(max(error, 1e-30) / max(best_error, 1e-30))
            if job.group.spiking and worse_db > UNPROVEN_GAIN_DB:
                return -ranked[0][1]
            return scale
    if job.group.spiking:
        return -ranked[0][1]
    raise UnsupportedError(
        _context(job.student),
        [
            f"readout {job.group.name!r} can reach |v| = {state.v_extent:g}, and no scale keeps it within "
            f"{reg.VTH_MAX} with 8-bit weights; use fewer inputs, smaller weights or a shorter time constant"
        ],
    )


def _proven(quantised: _Quantised, group: NeuronGroup) -> bool:
    if quantised.bounds.u_may_wrap:
        return False
    return group.spiking or quantised.bounds.v_extent <= reg.VTH_MAX


def _quantise_group(group: NeuronGroup, scale: float) -> NeuronGroup:
    bias = np.asarray(group.bias_mant) * scale
    bias_exp = 0
    while _extent(np.rint(bias / 2**bias_exp)) > reg.BIAS_MANT_MAX and bias_exp < reg.BIAS_EXP_MAX:
        bias_exp += 1
    vth = (
        np.maximum(np.rint(group.vth_mant * scale / 2**reg.STATE_SHIFT), 1)
        if group.spiking
        else np.asarray(0)
    )
    return replace(
        group,
        du=reg.current_decay_register(group.du),
        dv=reg.voltage_decay_register(group.dv),
        vth_mant=np.asarray(np.minimum(vth, reg.VTH_MANT_MAX), dtype=np.int32),
        bias_mant=np.asarray(
            np.clip(np.rint(bias / 2**bias_exp), reg.BIAS_MANT_MIN, reg.BIAS_MANT_MAX), dtype=np.int32
        ),
        bias_exp=bias_exp,
        v_init=np.asarray(
            np.clip(np.rint(group.v_init * scale), 1 - reg.STATE_LIMIT, reg.STATE_LIMIT - 1), dtype=np.int32
        ),
        scale=scale,
    )


def _exponent_choices(synapse: Synapse, scale: float) -> tuple[int, ...]:
    """The smallest exponent that holds every weight, and the one below it, which clips the largest."""
    low, high, _ = reg.WEIGHT_RANGES[reg.sign_mode_of(np.asarray(synapse.weights.values))]
    limit = max(-low, high) if low == 0 or high == 0 else high
    needed = _extent(synapse.weights.values) * scale / 2**reg.STATE_SHIFT / limit
    exponent = int(np.clip(np.ceil(np.log2(needed)) if needed > 0 else 0, 0, reg.WEIGHT_EXP_MAX))
    return (exponent, exponent - 1) if exponent > 0 else (exponent,)


def _synapse_error(synapse: Synapse, scale: float) -> float:
    sampled = _sampled(synapse.weights.values)
    mode = reg.sign_mode_of(np.asarray(synapse.weights.values))
    return min(
        _squared_error(sampled, scale, exponent, mode) for exponent in _exponent_choices(synapse, scale)
    )


def _squared_error(values: Array, scale: float, exponent: int, mode: reg.SignMode) -> float:
    lsb = 2.0 ** (reg.STATE_SHIFT + exponent) / scale
    integers, _ = reg.quantise_weights(values, lsb, mode)
    return float(np.sum(np.square(values - integers * lsb)))


def _quantise_synapse(synapse: Synapse, scale: float) -> Synapse:
    values = np.asarray(synapse.weights.values)
    mode = reg.sign_mode_of(values)
    few = _sampled(values)
    exponent = min(_exponent_choices(synapse, scale), key=lambda e: _squared_error(few, scale, e, mode))
    lsb = 2.0 ** (reg.STATE_SHIFT + exponent) / scale
    integers, saturated = reg.quantise_weights(values, lsb, mode)
    signal, noise = float(np.sum(np.square(values))), float(np.sum(np.square(values - integers * lsb)))
    snr_db = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else (0.0 if signal > 0 else np.inf)
    return replace(
        synapse,
        weights=synapse.weights.with_values(integers),
        weight_exp=exponent,
        sign_mode=mode,
        saturated_weights=saturated,
        quantisation_snr_db=float(np.inf if noise == 0 else snr_db),
    )


def _warnings(quantised: _Quantised, job: _Job) -> list[str]:
    name = f"student {job.student!r}, layer {quantised.group.name!r}"
    found: list[str] = []
    bounds = quantised.bounds
    if bounds.u_may_wrap:
        extent = max(bounds.u_max, -bounds.u_min)
        found.append(
            f"{name}: u may wrap; in the worst case |u| reaches {extent:.0f}, past {reg.STATE_LIMIT}"
        )
    for synapse in quantised.synapses:
        if synapse.saturated_weights:
            total = int(np.size(synapse.weights.values))
            found.append(
                f"{name}: {synapse.saturated_weights} of {total} weights of {synapse.name!r} are clipped"
            )
        if not np.any(synapse.weights.values) and np.any(
            next(s for s in job.synapses if s.name == synapse.name).weights.values
        ):
            found.append(f"{name}: every weight of {synapse.name!r} rounds to zero")
    lost = np.asarray(job.group.du) * reg.DECAY_UNITY < 0.5
    if job.group.has_current and bool(np.any(lost)):
        found.append(f"{name}: a synaptic time constant above 4096 steps is shortened to 4096")
    lost = (np.asarray(job.group.dv) > 0) & (np.asarray(job.group.dv) * reg.DECAY_UNITY < 0.5)
    if bool(np.any(lost)):
        found.append(f"{name}: a membrane time constant above 8192 steps becomes infinite")
    return found
