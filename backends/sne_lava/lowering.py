"""From a Program and samples to a job of plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.backend import Record
from sne_deploy.errors import DataError
from sne_deploy.ir.bounds import register_bounds
from sne_deploy.ir.program import NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_lava.job import GroupJob, HostJob, Job, SynapseJob

Array = npt.NDArray[Any]

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Lowered:
    """A Program as the groups and synapses of its jobs."""

    program: Program
    groups: tuple[GroupJob, ...]
    synapses: tuple[SynapseJob, ...]


def lower(program: Program) -> Lowered:
    """Turn a verified Program's groups and synapses into plain arrays, once for all runs."""
    synapses = tuple(_synapse_job(synapse, program) for synapse in program.synapses)
    bounds = register_bounds(program) if program.precision == "fixed" else {}
    groups = tuple(
        _group_job(
            group,
            program,
            synapses,
            counted=group.name in bounds and bounds[group.name].v_may_saturate(program.registers),
        )
        for group in program.groups
    )
    return Lowered(program, groups, synapses)


def make_job(lowered: Lowered, samples: Array, record: Record, stall_s: float) -> tuple[Job, int]:
    """Turn samples, checked by :func:`checked_inputs`, into a job.

    Returns
    -------
    job : Job
    saturated : int
        Currents of the host clipped to their register.
    """
    program = lowered.program
    driven, saturated = program.driven(samples)
    job = Job(
        precision=program.precision,
        timesteps=program.timesteps,
        samples=len(samples),
        max_depth=program.max_depth,
        groups=lowered.groups,
        synapses=lowered.synapses,
        input_name=program.input.name,
        input_size=program.input.size,
        spike_bits=_packed(program, samples) if program.spike_input else None,
        hosts=tuple(HostJob(name, program.group(name).depth, c) for name, c in driven.items()),
        record=record,
        stall_s=stall_s,
    )
    return job, saturated


def _packed(program: Program, samples: Array) -> Array:
    flat = samples.reshape(len(samples), program.timesteps, -1)
    return np.packbits(flat.astype(bool), axis=-1)


def checked_inputs(program: Program, inputs: Array) -> Array:
    """The samples, which must fit the Program's input.

    Raises
    ------
    DataError
        Another shape, no samples, spikes other than 0 and 1, or numbers that are not finite.
    """
    entry = program.input
    shape = program.sample_shape
    if inputs.ndim == 0 or inputs.shape[1:] != shape:
        wanted = ", ".join(("N", *map(str, shape)))
        raise DataError(f"student {program.name!r}: inputs have shape {inputs.shape}, it takes ({wanted})")
    if len(inputs) == 0:
        raise DataError(f"student {program.name!r}: no samples; give at least one")
    if entry.kind == "spikes" and not bool(np.all((inputs == 0) | (inputs == 1))):
        raise DataError(f"student {program.name!r}: spike inputs hold other values than 0 and 1")
    if not bool(np.all(np.isfinite(inputs))):
        raise DataError(f"student {program.name!r}: inputs hold NaN or infinity")
    return inputs


def _group_job(
    group: NeuronGroup, program: Program, synapses: tuple[SynapseJob, ...], *, counted: bool
) -> GroupJob:
    fixed = program.precision == "fixed"

    def per_neuron(value: Array) -> Array:
        typed = np.asarray(value, dtype=np.int32 if fixed else np.float64)
        return np.ascontiguousarray(np.broadcast_to(typed, (group.size,)))

    return GroupJob(
        name=group.name,
        kind=group.kind,
        size=group.size,
        spiking=group.spiking,
        du=per_neuron(group.du),
        dv=per_neuron(group.dv),
        vth=per_neuron(group.vth_mant),
        bias_mant=per_neuron(group.bias_mant),
        bias_exp=group.bias_exp,
        v_init=per_neuron(group.v_init),
        vsub=per_neuron(group.vsub_mant) if group.spiking and group.vsub_mant is not None else None,
        reset_delayed=group.reset_delayed,
        depth=group.depth,
        output=program.readout_of(group) if group.name in program.outputs else "none",
        guarded=fixed and _current_may_grow(group, program, synapses),
        counted=counted,
    )


def _current_may_grow(group: NeuronGroup, program: Program, synapses: tuple[SynapseJob, ...]) -> bool:
    """True where one step's input could exceed the single correction of u by 2^24.

    Only then can u leave (-2^23, 2^23] for good, and in the end 32 bits, where Lava wraps silently.
    """
    formats = program.registers
    host = program.host_of(group.name)
    largest = 0 if host is None or host.register_limit is None else host.register_limit
    largest += sum(_largest_sum(s.weights) << s.weight_exp for s in synapses if s.target == group.name)
    return largest << formats.state_shift >= 2 * formats.state_limit


def _synapse_job(synapse: Synapse, program: Program) -> SynapseJob:
    fixed = program.precision == "fixed"
    depths = {group.name: group.depth for group in program.groups}
    weights = _stored(synapse, np.int32 if fixed else np.float64)
    return SynapseJob(
        name=synapse.name,
        source=synapse.source,
        target=synapse.target,
        weights=weights,
        weight_exp=synapse.weight_exp,
        sign_mode=synapse.sign_mode,
        delay=synapse.delay,
        lag=program.lag(synapse),
        source_depth=depths.get(synapse.source, 0),
        target_depth=depths[synapse.target],
        safe_sum=_safe_sum(synapse, weights, program) if fixed else None,
    )


def _stored(synapse: Synapse, dtype: type) -> Array | sparse.csr_matrix:
    """Dense weights as an array; convolutions and sparse ones as a CSR matrix without zeros."""
    if isinstance(synapse.weights, DenseWeights):
        return np.ascontiguousarray(synapse.weights.array, dtype=dtype)
    matrix = synapse.weights.matrix()
    return sparse.csr_matrix((matrix.data.astype(dtype), matrix.indices, matrix.indptr), shape=matrix.shape)


def _largest_sum(weights: Array | sparse.csr_matrix) -> int:
    """The largest magnitude that a weighted sum over any set of inputs can have."""
    magnitudes: Any = abs(weights)
    return int(magnitudes.sum(axis=1, dtype=np.int64).max())


def _safe_sum(synapse: Synapse, weights: Array | sparse.csr_matrix, program: Program) -> int | None:
    """The largest weighted sum whose ``a_in << 6`` fits 32 bits beside u, or None if every sum does.

    Lava adds the inputs of a group and shifts them in 32-bit integers, which would wrap silently.
    """
    inputs = len(program.synapses_into(synapse.target)) + (program.host_of(synapse.target) is not None)
    formats = program.registers
    safe = ((_INT32_MAX - formats.state_limit) >> (formats.state_shift + synapse.weight_exp)) // inputs
    return None if _largest_sum(weights) <= safe else safe
