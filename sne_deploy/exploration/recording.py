"""Running every student once: outputs, counts and times per sample, and what the model's gate would say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sne_deploy.energy.time import step_floors
from sne_deploy.exploration.recorded import GateRecord, Recorded, recorded
from sne_deploy.exploration.standing import Standing, standing
from sne_deploy.model.ensemble import Ensemble, Gate
from sne_deploy.runtime.activation import gate_logits, gate_macs_per_sample

if TYPE_CHECKING:
    from sne_deploy.compiled import Compiled
    from sne_deploy.data.dataset import DataSet

BLOCK = 1024
"""Samples whose gate is asked at a time."""


def record(
    compiled: Compiled, ensemble: Ensemble, data: DataSet, weight_bits: int | None, seed: int
) -> tuple[Recorded, Standing | None]:
    """Run all students on all samples, and ask the model's gate where it has one; power beside, if placed."""
    gate = ensemble.policy.gate
    asked = None if gate is None else _gate_record(ensemble, gate, data, seed)
    run, placement = compiled.record(data)
    if placement is None:
        return recorded(run, ensemble.head, weight_bits, asked), None
    floors = step_floors(compiled.hardware, [core.site for core in placement.cores])
    found = recorded(run, ensemble.head, weight_bits, asked, floors)
    return found, standing(placement, compiled.hardware)


def _gate_record(ensemble: Ensemble, gate: Gate, data: DataSet, seed: int) -> GateRecord:
    """Ask the gate as a run does: block by block, samples of different lengths each for its own steps."""
    from sne_deploy.data.encode import encode

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
