"""From Programs to a placement: neurons are shared out among cores, cores get their sites."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import Program
from sne_deploy.mapping.placement import Core, PlacedGroup, Placement, Site, Use


def map_programs(programs: Sequence[Program], chip: Chip, strategy: str = "packed") -> Placement:
    """Place students on cores.

    Parameters
    ----------
    programs : sequence of Program
        In fixed point, one per student.
    chip : Chip
    strategy : str

    Returns
    -------
    Placement
    """
    limit = chip.limits.neurons_per_core.value if chip.limits.neurons_per_core else None
    groups: list[PlacedGroup] = []
    cores: list[Core] = []
    for program in programs:
        for group in program.groups:
            each = program.compartments(group)
            share = group.size if limit is None else min(group.size, limit // each)
            core_of = len(cores) + np.arange(group.size, dtype=np.int32) // share
            groups.append(PlacedGroup(program.name, group.name, core_of, (share,)))
            for first in range(0, group.size, share):
                used = each * min(share, group.size - first)
                cores.append(
                    Core(Site(0, len(cores) // 4, 0, len(cores) % 4), {"compartments": Use(used, limit)})
                )
    return Placement(chip.name, strategy, tuple(groups), tuple(cores), 1)
