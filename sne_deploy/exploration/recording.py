"""Running every student once: outputs, counts and times per sample, and what the model's gate would say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sne_deploy.energy.time import step_floors
from sne_deploy.exploration.standing import Standing, standing
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.policies.gate import gate_record
from sne_deploy.policies.recorded import Recorded, recorded

if TYPE_CHECKING:
    from pathlib import Path

    from sne_deploy.compiled import Compiled
    from sne_deploy.data.dataset import DataSet


def record(
    compiled: Compiled,
    ensemble: Ensemble,
    data: DataSet,
    weight_bits: int | None,
    seed: int,
    work: Path | None = None,
    anew: Path | None = None,
) -> tuple[Recorded, Standing | None]:
    """Run all students on all samples, and ask the model's gate where it has one; power beside, if placed.

    ``work``, ``anew``: as for :meth:`sne_deploy.Compiled.record`.
    """
    asked = gate_record(ensemble, data, seed)
    run, placement = compiled.record(data, work, anew)
    if placement is None:
        return recorded(run, ensemble.head, weight_bits, asked), None
    floors = step_floors(compiled.hardware, [core.site for core in placement.cores])
    found = recorded(run, ensemble.head, weight_bits, asked, floors)
    return found, standing(placement, compiled.hardware)
