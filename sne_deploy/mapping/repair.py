"""Cores that came to use more than they have are halved, until none does, and their chips found again.

What a core sends to other chips depends on the chips of all, and what it sends at all on how many cores its
targets are on. So each time cores are exchanged between chips, from where they are, until they send as little
to other chips as can be had. Where even so ever more cores come to send too much, the network is none for
this chip: it ends with the cores that still do.
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
from sne_deploy.mapping.sites import chips_again, chips_of

Array = npt.NDArray[Any]

MOST = 3
"""Cores are not halved any more once there are so many times as many as at first, and more than a chip's."""


def repaired(
    programs: Sequence[Program], partition: Partition, found: Resources, chip: Chip
) -> tuple[Partition, Resources, Array]:
    """Halve cores until each keeps every limit, or nothing more can be done.

    Parameters
    ----------
    programs : sequence of Program
    partition : Partition
    found : Resources
        What its cores use.
    chip : Chip

    Returns
    -------
    partition : Partition
    found : Resources
        What its cores use.
    on_chip : int64 array of shape (cores,)
    """
    full = Mesh.of(chip).cores
    most = max(MOST * partition.cores, full or 0)
    on_chip = np.zeros(partition.cores, np.int64) if full is None else chips_of(found.traffic, full)
    while partition.cores <= most:
        exceeded = np.flatnonzero(_over(found, on_chip, chip))
        halves = halved(programs, partition, exceeded.tolist())
        if halves.cores == partition.cores:  # none uses too much, or those that do are of one neuron
            break
        on_chip = on_chip[_came_from(partition, halves)]
        partition, found = halves, measure(programs, halves, chip)
        if full is not None:
            on_chip = chips_again(found.traffic, on_chip, full)
    return partition, found, on_chip


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
