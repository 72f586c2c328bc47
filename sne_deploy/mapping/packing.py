"""The strategy ``packed``: as few cores as every limit allows, whatever share one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import Program
from sne_deploy.mapping.partition import Partition
from sne_deploy.mapping.placement import PlacedGroup


def packed(programs: Sequence[Program], chip: Chip) -> Partition:
    """Share neurons out among cores, several groups to a core."""
    limit = chip.limits.neurons_per_core.value if chip.limits.neurons_per_core else None
    groups: list[PlacedGroup] = []
    cores = 0
    for program in programs:
        for group in program.groups:
            each = program.compartments(group)
            share = group.size if limit is None else min(group.size, limit // each)
            core_of = cores + np.arange(group.size, dtype=np.int32) // share
            groups.append(PlacedGroup(program.name, group.name, core_of, (share,)))
            cores = int(core_of[-1]) + 1
    return Partition(tuple(groups), cores)
