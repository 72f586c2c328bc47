"""From a Program and samples to a job of plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.backend import Record
from sne_deploy.errors import DataError
from sne_deploy.ir.program import NeuronGroup, Program, Synapse
from sne_deploy.ir.registers import STATE_LIMIT, STATE_SHIFT
from sne_deploy.ir.weights import DenseWeights
from sne_lava.job import GroupJob, Job, SynapseJob

Array = npt.NDArray[Any]

_INT32_MAX = 2**31 - 1


def make_job(
    program: Program, inputs: Array, record: Record, stream: int | None, stall_s: float
) -> tuple[Job, int]:
    """Turn a Program and its samples into a job.

    Parameters
    ----------
    inputs : array of shape (N, T, *shape) of 0 and 1, or (N, *shape) of numbers

    Returns
    -------
    job : Job
    saturated : int
        Host constants clipped to their register.

    Raises
    ------
    DataError
        The samples do not fit the Program's input.
    """
    samples = _checked(program, np.asarray(inputs))
    bits, currents, saturated = None, None, 0
    if program.host is None:
        flat = samples.reshape(len(samples), program.timesteps, -1)
        bits = np.packbits(flat.astype(bool), axis=-1)
    else:
        currents, saturated = program.host.drive(samples)
    job = Job(
        student=program.student,
        precision=program.precision,
        timesteps=program.timesteps,
        samples=len(samples),
        max_depth=program.max_depth,
        groups=tuple(_group_job(group, program) for group in program.groups),
        synapses=tuple(_synapse_job(synapse, program) for synapse in program.synapses),
        input_name=program.input.name if program.host is None else program.host.target,
        input_size=program.input.size,
        spike_bits=bits,
        currents=currents,
        record=record,
        stream=len(samples) if stream is None else stream,
        stall_s=stall_s,
    )
    return job, saturated


def _checked(program: Program, inputs: Array) -> Array:
    entry = program.input
    shape = (program.timesteps, *entry.shape) if entry.kind == "spikes" else entry.shape
    if inputs.ndim == 0 or inputs.shape[1:] != shape:
        wanted = ", ".join(("N", *map(str, shape)))
        raise DataError(f"student {program.student!r}: inputs have shape {inputs.shape}, it takes ({wanted})")
    if len(inputs) == 0:
        raise DataError(f"student {program.student!r}: no samples; give at least one")
    if entry.kind == "spikes" and not bool(np.all((inputs == 0) | (inputs == 1))):
        raise DataError(f"student {program.student!r}: spike inputs hold other values than 0 and 1")
    if not bool(np.all(np.isfinite(inputs))):
        raise DataError(f"student {program.student!r}: inputs hold NaN or infinity")
    return inputs


def _group_job(group: NeuronGroup, program: Program) -> GroupJob:
    dtype = np.int32 if program.precision == "fixed" else np.float64

    def per_neuron(value: Array) -> Array:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=dtype), (group.size,)))

    return GroupJob(
        name=group.name,
        size=group.size,
        spiking=group.spiking,
        du=per_neuron(group.du),
        dv=per_neuron(group.dv),
        vth=per_neuron(group.vth_mant),
        bias_mant=per_neuron(group.bias_mant),
        bias_exp=group.bias_exp,
        v_init=per_neuron(group.v_init),
        depth=group.depth,
        output=program.readout if group.name == program.output else "none",
    )


def _synapse_job(synapse: Synapse, program: Program) -> SynapseJob:
    fixed = program.precision == "fixed"
    sources = {group.name: group.depth for group in program.groups}
    return SynapseJob(
        name=synapse.name,
        source=synapse.source,
        target=synapse.target,
        weights=_stored(synapse, np.int32 if fixed else np.float64),
        weight_exp=synapse.weight_exp,
        sign_mode=synapse.sign_mode,
        delay=synapse.delay,
        recurrent=synapse.recurrent,
        source_depth=sources.get(synapse.source, 0),
        target_depth=sources[synapse.target],
        safe_sum=_safe_sum(synapse, program) if fixed else None,
    )


def _stored(synapse: Synapse, dtype: type) -> Array | sparse.csr_matrix:
    """Dense weights as an array; convolutions and sparse ones as a CSR matrix without zeros."""
    if isinstance(synapse.weights, DenseWeights):
        return np.ascontiguousarray(synapse.weights.array, dtype=dtype)
    matrix = synapse.weights.matrix()
    return sparse.csr_matrix((matrix.data.astype(dtype), matrix.indices, matrix.indptr), shape=matrix.shape)


def _safe_sum(synapse: Synapse, program: Program) -> int | None:
    """The largest weighted sum with which ``u + (a_in << 6)`` stays within 32 bits, or None if all do.

    Lava adds the inputs of a group and shifts them in 32-bit integers, which would wrap silently.
    """
    inputs = len(program.synapses_into(synapse.target)) + (program.host is not None)
    room = (_INT32_MAX - STATE_LIMIT) >> (STATE_SHIFT + synapse.weight_exp)
    safe = room // inputs
    largest = int(abs(synapse.weights.matrix()).sum(axis=1, dtype=np.int64).max())
    return None if largest <= safe else safe
