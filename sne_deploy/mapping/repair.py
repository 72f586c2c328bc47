"""Cores that came to use more than they have are halved, until none does; their halves stay on their chip.

What a core sends to other chips depends on the chips of all. So a part of each chip is left free for halves,
the chips are found anew once, after the first of these, and from then on only a chip that gets too full
changes: it becomes two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import Program
from sne_deploy.mapping.halving import halved
from sne_deploy.mapping.mesh import Mesh
from sne_deploy.mapping.partition import Partition
from sne_deploy.mapping.resources import Resources, limits, measure
from sne_deploy.mapping.sites import chips_of

Array = npt.NDArray[Any]

ROUNDS = 24
"""How often cores are halved."""
KEPT_FREE = 4
"""The share of a chip's cores, one in so many, that is left for the halves of its others."""


def repaired(
    programs: Sequence[Program], partition: Partition, found: Resources, chip: Chip, *, alone: bool
) -> tuple[Partition, Resources, Array]:
    """Halve cores until each keeps every limit, or nothing more can be done.

    Parameters
    ----------
    programs : sequence of Program
    partition : Partition
    found : Resources
        What its cores use.
    chip : Chip
    alone : bool
        The cores fit on one chip: it may be filled.

    Returns
    -------
    partition : Partition
    found : Resources
        What its cores use.
    on_chip : int64 array of shape (cores,)
    """
    full = Mesh.of(chip).cores
    room = full if full is None or alone else max(1, full - full // KEPT_FREE)
    on_chip = _chips(found, room)
    for number in range(ROUNDS):
        exceeded = np.flatnonzero(_over(found, on_chip, chip))
        halves = halved(programs, partition, exceeded.tolist())
        if halves.cores == partition.cores:  # none uses too much, or those that do are of one neuron
            break
        came_from = _came_from(partition, halves)
        partition, found = halves, measure(programs, halves, chip)
        on_chip = _chips(found, room) if number == 0 and not alone else _split(on_chip[came_from], full)
    return partition, found, on_chip


def _chips(found: Resources, room: int | None) -> Array:
    cores = int(found.traffic.shape[0])
    return np.zeros(cores, np.int64) if room is None else chips_of(found.traffic, room)


def _over(found: Resources, on_chip: Array, chip: Chip) -> Array:
    """Whether a core uses more than it has of anything: bool of shape (cores,)."""
    most = limits(chip, found.longest_delay)
    over = np.zeros(len(on_chip), np.bool_)
    for name, used in found.on(on_chip).items():
        limit = most[name]
        if limit is not None:
            over |= used > limit
    return over


def _came_from(before: Partition, after: Partition) -> Array:
    """The core that each core is a part of: int64 of shape (cores,)."""
    found = np.zeros(after.cores, np.int64)
    for old, new in zip(before.groups, after.groups, strict=True):
        found[new.core_of] = old.core_of
    return found


def _split(on_chip: Array, full: int | None) -> Array:
    """The chips of the cores, of which each that holds too many is two, its cores in their order."""
    while full is not None and (held := np.bincount(on_chip)).max() > full:
        chip = int(held.argmax())
        members = np.flatnonzero(on_chip == chip)
        on_chip = on_chip + (on_chip > chip)
        on_chip[members[len(members) // 2 :]] += 1
    return on_chip
