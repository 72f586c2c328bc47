"""From Programs to a placement: a strategy shares neurons out among cores, cores get their sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sne_deploy.chips.chip import Chip
from sne_deploy.errors import InputError
from sne_deploy.ir.program import Program
from sne_deploy.mapping.halving import halved
from sne_deploy.mapping.packing import packed
from sne_deploy.mapping.partition import Partition, Strategy
from sne_deploy.mapping.placement import Core, Placement, Resource, Use
from sne_deploy.mapping.refusal import refuse_core
from sne_deploy.mapping.resources import limits, measure
from sne_deploy.mapping.sites import sites
from sne_deploy.mapping.tiles import intel

STRATEGIES: Mapping[str, Strategy] = {"packed": packed, "intel": intel}
"""How neurons can be shared out among cores, by name."""


ROUNDS = 24
"""How often cores that use too much are halved."""


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
        Keeps every limit that the chip's file gives.

    Raises
    ------
    InputError
        The strategy is not known, or a Program is in floating point.
    MappingError
        A neuron fits on no core, or a strategy's cores do not keep the limits.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"unknown strategy {strategy!r:.100}; known: {', '.join(STRATEGIES)}")
    if any(program.precision != "fixed" for program in programs):
        raise InputError("floating point is on no chip's cores; compile with precision fixed")
    partition = STRATEGIES[strategy](programs, chip)
    placed = _placed(programs, partition, chip, strategy)
    for _ in range(ROUNDS if strategy == "packed" else 0):
        exceeded = _exceeded(placed)
        if not exceeded:
            break
        partition = halved(programs, partition, exceeded)
        placed = _placed(programs, partition, chip, strategy)
    for core, resource in _exceeded(placed).items():
        refuse_core(placed, core, resource)
    return placed


def _placed(programs: Sequence[Program], partition: Partition, chip: Chip, strategy: str) -> Placement:
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
