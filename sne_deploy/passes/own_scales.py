"""Neurons of a group that differ too much for one scale get scales of their own.

With one scale, the largest threshold and the largest weight of a group say how finely all of its neurons are
stored. That is right for most networks, and costs nothing on the chip. A neuron is *harmed* by it where

* its relative squared error, of weights, threshold and constant input, is above HARMED, and
* it matters: it is read out, or can reach its threshold in the worst case.

Only where a group has such neurons, it is quantised again in units of each neuron's own, and this is taken
where the worst error of a neuron that matters becomes at least GAIN times smaller:

* Spiking neurons are scaled so that their thresholds become equal, and from there down by powers of two where
  their inputs need it: on the chip, few distinct thresholds are left.
* Readouts are scaled so that each uses the whole range of its registers; outputs are divided by it again.
* Weights of rows that are then still much smaller than the largest become a synapse of their own, with an
  exponent of its own; every weight is in one of them, so that synaptic operations stay what they were.

A convolution's channel has one kernel, so that its neurons share a scale.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.bounds import state_bounds, synaptic_range
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import ConvWeights, only_rows, row_extents, scale_rows
from sne_deploy.passes.group_job import GroupJob, spiking_limit
from sne_deploy.passes.weight_registers import WeightSample

Array = npt.NDArray[Any]

HARMED = 10**-2.3
"""Seven per cent of the amplitude; rows of the networks in `examples` err by less."""
GAIN = 4.0
BITS_APART = 3
"""Rows whose largest weights differ by this many bits get different exponents."""


def matters(job: GroupJob, margin: float = 0.0) -> Array:
    """Which neurons are read out, or can spike, by a margin: bool of shape (n,)."""
    if not job.group.spiking:
        return np.ones(job.group.size, dtype=bool)
    *_, v_max = job.neuron_bounds()
    return np.asarray(v_max > job.group.vth_mant * (1 + margin))


def in_own_units(job: GroupJob, harmed: Array) -> GroupJob:
    """The same network in a unit of each neuron's own; ``harmed`` ones may get synapses of their own."""
    block = _shared_block(job)
    factor = np.repeat(_factors(job).reshape(-1, block).min(axis=1), block)
    harmed = np.repeat(harmed.reshape(-1, block).any(axis=1), block)
    group = replace(
        job.group,
        vth_mant=job.group.vth_mant * factor,
        vsub_mant=None if job.group.vsub_mant is None else job.group.vsub_mant * factor,
        bias_mant=job.group.bias_mant * factor,
        v_init=job.group.v_init * factor,
    )
    scaled = [replace(each, weights=scale_rows(each.weights, factor)) for each in job.synapses]
    synapses = tuple(part for each in scaled for part in _split(each, harmed))
    low, high = job.host_low * factor, job.host_high * factor
    least, most = synaptic_range(synapses, group.size)
    return replace(
        job,
        group=group,
        synapses=synapses,
        host_low=low,
        host_high=high,
        float_state=state_bounds(group, low + least, high + most, job.timesteps),
        samples=tuple(WeightSample.of(synapse, job.formats) for synapse in synapses),
        factor=factor if bool(np.ptp(factor)) else float(factor[0]),
    )


def _factors(job: GroupJob) -> Array:
    """The unit of each neuron: what makes thresholds equal, or down by powers of two; or uses the range."""
    largest = _largest_scales(job)
    if not job.group.spiking:
        return np.asarray(largest / np.max(largest))
    equal = np.broadcast_to(1 / np.asarray(job.group.vth_mant), largest.shape)
    octaves = np.log2(largest / equal)
    return np.asarray(equal * 2.0 ** np.floor(octaves - np.max(octaves)))


def _largest_scales(job: GroupJob) -> Array:
    """The scale at which a neuron's first register overflows, of what it reaches as a readout too: (n,)."""
    group, formats = job.group, job.formats
    _, _, v_min, v_max = job.neuron_bounds()
    weights = [row_extents(synapse.weights) for synapse in job.synapses]
    limits = [
        (spiking_limit(formats), group.vth_mant)
        if group.spiking
        else (formats.vth_max, np.maximum(v_max, -v_min)),
        (formats.bias_mant_max * 2**formats.bias_exp_max, group.bias_mant),
        (formats.state_limit - 1, group.v_init),
        (formats.bias_mant_max * 2**formats.state_shift, np.maximum(-job.host_low, job.host_high)),
        *(
            (2 ** (formats.state_shift + formats.weight_exp_max) * formats.weight_max, each)
            for each in weights
        ),
    ]
    with np.errstate(divide="ignore"):
        each = [np.broadcast_to(limit / np.abs(value), (group.size,)) for limit, value in limits]
    found = np.min(each, axis=0)
    finite = np.isfinite(found)
    return np.where(finite, found, np.min(found[finite], initial=np.inf) if bool(np.any(finite)) else 1.0)


def _shared_block(job: GroupJob) -> int:
    """How many consecutive neurons must have one scale: those of a convolution's channel."""
    channels = [s.weights.out_shape[0] for s in job.synapses if isinstance(s.weights, ConvWeights)]
    return math.lcm(*(job.group.size // each for each in channels)) if channels else 1


def _split(synapse: Synapse, harmed: Array) -> tuple[Synapse, ...]:
    """The synapse, without the harmed rows of much smaller weights, which become synapses of their own."""
    extents = row_extents(synapse.weights)
    largest = extents.max(initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(extents > 0, np.floor(np.log2(largest / extents)), 0)
    kind = np.where(harmed, bits // BITS_APART, 0).astype(int)
    if not bool(np.any(kind)):
        return (synapse,)
    first, *others = sorted(set(kind[extents > 0].tolist()))
    parts = [replace(synapse, weights=only_rows(synapse.weights, (kind == first) | (extents == 0)))]
    for number, each in enumerate(others, 2):
        weights = only_rows(synapse.weights, kind == each)
        parts.append(replace(synapse, name=f"{synapse.name}.{number}", weights=weights))
    return tuple(parts)
