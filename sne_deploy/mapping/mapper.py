"""From Programs to a placement: a strategy shares neurons out among cores, cores get their sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sne_deploy.chips.chip import Chip
from sne_deploy.errors import InputError
from sne_deploy.ir.program import Program
from sne_deploy.mapping.packing import packed
from sne_deploy.mapping.partition import Strategy
from sne_deploy.mapping.placement import Core, Placement, Use
from sne_deploy.mapping.resources import limits, measure
from sne_deploy.mapping.sites import sites
from sne_deploy.mapping.tiles import intel

STRATEGIES: Mapping[str, Strategy] = {"packed": packed, "intel": intel}
"""How neurons can be shared out among cores, by name."""


def map_programs(programs: Sequence[Program], chip: Chip, strategy: str = "packed") -> Placement:
    """Place students on cores.

    Parameters
    ----------
    programs : sequence of Program
        In fixed point, one per student.
    chip : Chip
    strategy : str
        One of :data:`STRATEGIES`.

    Returns
    -------
    Placement
    """
    if strategy not in STRATEGIES:
        raise InputError(f"unknown strategy {strategy!r:.100}; known: {', '.join(STRATEGIES)}")
    if any(program.precision != "fixed" for program in programs):
        raise InputError("floating point is on no chip's cores; compile with precision fixed")
    partition = STRATEGIES[strategy](programs, chip)
    found = measure(programs, partition, chip)
    places = sites(found.traffic, chip)
    on_chip = np.asarray([place.chip for place in places])
    uses = {**found.uses, "out_axons_across_chips": found.across(on_chip)}
    most = limits(chip, found.longest_delay)
    cores = tuple(
        Core(place, {name: Use(int(used[i]), _at(most[name], i)) for name, used in uses.items()})
        for i, place in enumerate(places)
    )
    return Placement(chip.name, strategy, partition.groups, cores, int(on_chip.max()) + 1)


def _at(limit: np.ndarray | None, index: int) -> int | None:
    return None if limit is None else int(limit[index])
