"""What rounding takes away whole: neurons that cannot spike any more, weights that become zero.

A mean over a layer hides one neuron of many, so that these are told by name. Weights near zero round to zero
in every network; they are told where they had more than LOST of a synapse's power, or more than
LOST_OF_NEURON of that of a neuron which is read out or can spike.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import powers_of, row_powers
from sne_deploy.passes.group_job import QuantisedGroup
from sne_deploy.passes.own_scales import matters

Array = npt.NDArray[Any]

MARGIN = 0.05
"""A neuron that in the worst case comes no further above its threshold is at its edge anyway."""
LOST = 0.01
LOST_OF_NEURON = 0.1
_NAMED = 5


def silenced(quantised: QuantisedGroup) -> Iterator[str]:
    """Warnings, without the layer's name."""
    job, size = quantised.job, quantised.group.size
    lost, concerned = np.zeros(size), matters(job, MARGIN)
    for synapse, parts in zip(job.synapses, quantised.parts, strict=True):
        weights = np.asarray(synapse.weights.values)
        zeroed = weights != 0
        for part in parts:
            zeroed &= part.weights.values == 0
        if bool(np.any(zeroed)):
            power = powers_of(synapse.weights, partial(_where, zeroed, weights))
            yield from _of_synapse(synapse, zeroed, power, np.where(concerned, job.powers, np.inf))
            lost += power
    if job.group.spiking:
        threshold = np.asarray(quantised.group.vth_mant, dtype=np.int64) << job.formats.state_shift
        gone = concerned & (quantised.v_max <= threshold)
        what = "cannot spike any more"
    else:
        gone = (lost > 0) & (lost >= job.powers * (1 - MARGIN)) & (job.host_low == 0) & (job.host_high == 0)
        what = "hear nothing any more, since all their weights round to zero"
    if bool(np.any(gone)):
        yield (
            f"quantisation silences {np.count_nonzero(gone):,} of {size:,} neurons, which {what}: "
            f"{_listed(np.flatnonzero(gone))}"
        )


def _where(chosen: Array, values: Array, rows: slice) -> Array:
    return np.where(chosen[rows], values[rows], 0)


def _of_synapse(synapse: Synapse, zeroed: Array, lost: Array, powers: Array) -> Iterator[str]:
    if bool(np.all(zeroed | (np.asarray(synapse.weights.values) == 0))):
        yield f"every weight of {synapse.name!r} rounds to zero"
        return
    shares = np.divide(lost, powers, out=np.zeros_like(lost), where=powers > 0)
    of_all = row_powers(synapse.weights, np.asarray(synapse.weights.values)).sum()
    share, worst = float(lost.sum() / of_all), int(np.argmax(shares))
    if share > LOST or shares[worst] > LOST_OF_NEURON:
        yield (
            f"{np.count_nonzero(zeroed):,} of {zeroed.size:,} weights of {synapse.name!r} round to zero, "
            f"with {share:.2%} of their power; of neuron {worst}'s, {shares[worst]:.1%}"
        )


def _listed(neurons: Array) -> str:
    shown = ", ".join(str(int(each)) for each in neurons[:_NAMED])
    return f"{shown}, and {len(neurons) - _NAMED:,} more" if len(neurons) > _NAMED else shown
