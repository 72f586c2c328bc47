"""Pieces of groups are put on cores: largest first, each on the fullest core that has room for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.mapping.resources import compartment_limit

Array = npt.NDArray[Any]

OPEN = 256
"""Cores that are looked at for a piece, the last ones that were begun."""


@dataclass(frozen=True, eq=False)
class Item:
    """A piece of a group.

    Attributes
    ----------
    uses : int64 array of shape (5,)
        Compartments, in-axons, out-axons, bits of synaptic memory, compartment configurations.
    longest_delay : int
        Of a synapse into it.
    ratio : float
        Used over limit of what binds it.
    thresholds, formats : set
    """

    uses: Array
    longest_delay: int
    ratio: float
    thresholds: set[int]
    formats: set[Any]


def fill(items: Sequence[Item], chip: Chip) -> Array:
    """The core of each item, as few as are found: int32 array of shape (items,).

    Cores are numbered by the first item on each.
    """
    found = _fill(items, sorted(range(len(items)), key=lambda k: -items[k].ratio), chip)
    first = np.unique(found, return_index=True)[1]
    number = np.empty(len(first), np.int32)
    number[np.argsort(first, kind="stable")] = np.arange(len(first))
    return number[found]


def _fill(items: Sequence[Item], order: Sequence[int], chip: Chip) -> Array:
    limits = chip.limits
    most = np.asarray(
        [
            np.inf if limit is None else limit.value
            for limit in (
                limits.neurons_per_core,
                limits.in_axons_per_core,
                limits.out_axons_per_core,
                limits.synapse_memory_per_core,
                limits.groups_per_core,
            )
        ]
    )
    sets = [(limits.thresholds_per_core, "thresholds"), (limits.synapse_formats_per_core, "formats")]
    bounded = [(name, limit.value) for limit, name in sets if limit is not None]
    core_of, cores = np.zeros(len(items), np.int32), 0
    number = np.zeros(OPEN, np.int32)
    used, delay = np.full((OPEN, len(most)), np.inf), np.zeros(OPEN, np.int64)
    held: list[dict[str, set[Any]]] = [{} for _ in range(OPEN)]
    for k in order:
        item = items[k]
        after = used + item.uses
        room = np.flatnonzero(np.all(after <= most, axis=1))
        if len(room):
            left = compartment_limit(chip, np.maximum(delay[room], item.longest_delay))
            if left is not None:
                room = room[after[room, 0] <= left]
        fullness = (after[room] / np.maximum(most, 1)).max(axis=1)
        for place in room[np.argsort(-fullness, kind="stable")]:
            if all(len(held[place][name] | getattr(item, name)) <= limit for name, limit in bounded):
                break
        else:
            place = cores % OPEN
            number[place], used[place], delay[place] = cores, 0, 0
            held[place] = {name: set() for name, _ in bounded}
            cores += 1
        core_of[k] = number[place]
        used[place] += item.uses
        delay[place] = max(delay[place], item.longest_delay)
        for name, _ in bounded:
            held[place][name] |= getattr(item, name)
    return core_of
