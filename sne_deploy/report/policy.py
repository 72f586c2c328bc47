"""The policy of an ensemble, as a report says it."""

from __future__ import annotations

from sne_deploy.model.ensemble import Ensemble
from sne_deploy.report.schema import GateModel, PolicyModel
from sne_deploy.runtime.activation import gate_macs_per_sample


def policy_model(ensemble: Ensemble) -> PolicyModel:
    """Kind and parameters; null where the kind has no such parameter."""
    policy, names = ensemble.policy, [student.name for student in ensemble.students]
    static = policy.kind == "static"
    return PolicyModel(
        kind=policy.kind,
        order=tuple(names[index] for index in policy.order or range(len(names))),
        threshold=None if static else policy.threshold,
        measure=policy.measure if policy.kind == "confidence" else None,
        students=(policy.students or len(names)) if static else None,
        gate=_gate_model(ensemble),
    )


def _gate_model(ensemble: Ensemble) -> GateModel | None:
    gate = ensemble.policy.gate
    if gate is None:
        return None
    steps = () if ensemble.encoder.kind == "constant" else (ensemble.timesteps,)
    macs = gate_macs_per_sample(gate, (*steps, *ensemble.input_shape))
    return GateModel(grid=gate.grid, hidden=gate.hidden_bias.size, macs_per_sample=macs)
