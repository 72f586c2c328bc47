"""From Programs to a placement: a strategy shares neurons out among cores, cores get their sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sne_deploy import arguments
from sne_deploy.chips.chip import Chip
from sne_deploy.errors import InputError
from sne_deploy.ir.program import Program
from sne_deploy.mapping.mesh import Mesh
from sne_deploy.mapping.packing import packed
from sne_deploy.mapping.partition import Partition, Strategy
from sne_deploy.mapping.placement import Core, Placement, Resource, Site, Use
from sne_deploy.mapping.refusal import refuse_chips, refuse_cores
from sne_deploy.mapping.repair import repaired
from sne_deploy.mapping.resources import Resources, limits, measure
from sne_deploy.mapping.sites import place_on, sites
from sne_deploy.mapping.tiles import intel

STRATEGIES: Mapping[str, Strategy] = {"packed": packed, "intel": intel}
"""How neurons can be shared out among cores, by name."""


MAX_CHIPS = 2**16


def map_programs(
    programs: Sequence[Program], chip: Chip, strategy: str = "packed", chips: int | None = None
) -> Placement:
    """Place students on cores.

    Parameters
    ----------
    programs : sequence of Program
        In fixed point, one per student.
    chip : Chip
    strategy : str
        One of :data:`STRATEGIES`.
    chips : int or None
        How many chips there are; None: as many as it takes.

    Returns
    -------
    Placement
        Keeps every limit that the chip's file gives.

    Raises
    ------
    InputError
        The strategy is not known, a Program is in floating point, or there is no chip.
    MappingError
        A neuron fits on no core, a strategy's cores do not keep the limits, or it takes more chips.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"unknown strategy {strategy!r:.100}; known: {', '.join(STRATEGIES)}")
    if any(program.precision != "fixed" for program in programs):
        raise InputError("floating point is on no chip's cores; compile with precision fixed")
    if chips is not None:
        arguments.whole("chips", chips, 1, MAX_CHIPS)
    partition = STRATEGIES[strategy](programs, chip)
    found = measure(programs, partition, chip)
    placed = _placement(partition, found, sites(found.traffic, chip), chip)
    if strategy == "packed" and _exceeded(placed):
        if placed.chips > 1:
            partition = packed(programs, chip, many_chips=True)
            found = measure(programs, partition, chip)
        partition, found, on_chip = repaired(programs, partition, found, chip)
        placed = _placement(partition, found, place_on(found.traffic, Mesh.of(chip), on_chip), chip)
    if exceeded := _exceeded(placed):
        refuse_cores(placed, exceeded)
    if chips is not None and placed.chips > chips:
        refuse_chips(placed, chips)
    return placed


def _placement(partition: Partition, found: Resources, places: Sequence[Site], chip: Chip) -> Placement:
    on_chip = np.asarray([place.chip for place in places])
    uses = found.on(on_chip)
    most = limits(chip, found.longest_delay)
    cores = tuple(
        Core(place, {name: Use(int(used[i]), _at(most[name], i)) for name, used in uses.items()})
        for i, place in enumerate(places)
    )
    return Placement(chip.name, partition.strategy, partition.groups, cores, int(on_chip.max()) + 1)


def _exceeded(placement: Placement) -> dict[int, Resource]:
    """The cores that use more of a resource than they have, and the first such resource."""
    return {
        index: resource
        for index, core in enumerate(placement.cores)
        for resource, use in list(core.uses.items())[::-1]
        if use.limit is not None and use.used > use.limit
    }


def _at(limit: np.ndarray | None, index: int) -> int | None:
    return None if limit is None else int(limit[index])
