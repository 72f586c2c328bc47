"""What a report says about how its figures came to be: constants, policy, versions."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from sne_deploy.chips.chip import Chip
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.report.chip_schema import IntervalModel
from sne_deploy.report.schema import (
    ConstantModel,
    GateModel,
    HardwareModel,
    PolicyModel,
    ProvenanceModel,
)
from sne_deploy.runtime.activation import gate_macs_per_sample

PACKAGES = ("sne-deploy", "torch", "numpy", "scipy", "norse", "nir", "lava-nc", "onnxruntime")
USED_CONSTANTS = (
    "energy.synop",
    "energy.update_active",
    "energy.spike_within_tile",
    "energy.hop_east_west",
    "energy.hop_north_south",
    "power.static_per_core",
    "power.x86_per_processor",
    "host.mac",
    "teacher.mac",
    "error.neurocore",
)
"""Constants that a report's figures rest on, where the hardware file gives them."""


def hardware_model(hardware: Chip) -> HardwareModel:
    """The constants that the figures rest on, as the hardware file gives them."""
    given = hardware.constants("energy", "power", "host", "teacher", "error")
    times = hardware.constants("time")
    used = {name: given[name] for name in USED_CONSTANTS if name in given} | times
    return HardwareModel(
        name=hardware.name,
        constants={name: ConstantModel(**constant.model_dump()) for name, constant in used.items()},
        intervals={
            line: IntervalModel(**bounds.model_dump(exclude={"unit"}))
            for line, bounds in hardware.interval
            if bounds is not None
        },
    )


def policy_model(ensemble: Ensemble) -> PolicyModel:
    """Kind and parameters; null where the kind has no such parameter."""
    policy, names = ensemble.policy, [student.name for student in ensemble.students]
    static = policy.kind == "static"
    return PolicyModel(
        kind=policy.kind,
        order=tuple(names[index] for index in policy.order or range(len(names))),
        threshold=None if static else policy.threshold,
        measure=policy.measure if policy.kind == "confidence" else None,
        students=policy.students or (len(names) if static else None),
        gate=_gate_model(ensemble),
    )


def _gate_model(ensemble: Ensemble) -> GateModel | None:
    gate = ensemble.policy.gate
    if gate is None:
        return None
    steps = () if ensemble.encoder.kind == "constant" else (ensemble.timesteps,)
    macs = gate_macs_per_sample(gate, (*steps, *ensemble.input_shape))
    return GateModel(grid=gate.grid, hidden=gate.hidden_bias.size, macs_per_sample=macs)


def provenance(*, seed: int | None, command: str | None, wall_s: float) -> ProvenanceModel:
    """Versions of what the figures depend on (packages that are not installed are left out).

    Parameters
    ----------
    seed : int or None
    command : str or None
    wall_s : float
        Seconds that the run took.
    """
    return ProvenanceModel(versions=versions(), seed=seed, command=command, wall_s=wall_s)


@cache
def versions() -> dict[str, str]:
    """Of Python and of what the figures depend on; read from disk once per process."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
