"""What a model's gate says of samples, as a run asks it."""

from __future__ import annotations

import numpy as np

from sne_deploy.data.dataset import DataSet
from sne_deploy.data.encode import encode
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.policies.recorded import GateRecord
from sne_deploy.runtime.activation import gate_logits, gate_macs_per_sample

BLOCK = 1024
"""Samples whose gate is asked at a time."""


def gate_record(ensemble: Ensemble, data: DataSet, seed: int) -> GateRecord | None:
    """Ask the gate block by block, samples of different lengths each for its own steps; None without one."""
    gate = ensemble.policy.gate
    if gate is None:
        return None
    logits = np.zeros((len(data), len(ensemble.students)))
    macs = np.zeros(len(data), np.int64)
    for start in range(0, len(data), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(data)))
        inputs = encode(ensemble.encoder, data.x[rows], ensemble.timesteps, seed, first_index=start)
        lengths = None if data.lengths is None else data.lengths[rows]
        for steps in (None,) if lengths is None else np.unique(lengths):
            which = slice(None) if steps is None else np.flatnonzero(lengths == steps)
            taken = inputs[which] if steps is None else np.ascontiguousarray(inputs[which, :steps])
            logits[rows[which]] = gate_logits(gate, taken)
            macs[rows[which]] = gate_macs_per_sample(gate, taken.shape[1:])
    return GateRecord(gate, logits, macs)
