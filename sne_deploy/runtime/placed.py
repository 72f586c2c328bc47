"""What each core and link did: a run's spikes on a placement.

The counts are those of the unplaced run, shared out: their sums are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class PlacedCounts:
    """One student on N samples, on its cores.

    Per core, in the order of ``Placement.cores``: over the samples that it ran on; 0 on the cores of others.

    Attributes
    ----------
    synops, updates, memory_words, spikes, messages_in : int64 array of shape (cores,)
        SynOps; updates of enabled compartments; words of synaptic memory read; spikes sent by its neurons;
        messages that arrived.
    within_core, within_tile, within_chip, across_chips : int64 array of shape (N,)
        Messages by how far they go: one for each spike and each core that it reaches.
    from_host : int64 array of shape (N,)
        Messages that enter from outside.
    hops_east_west, hops_north_south : int64 array of shape (N,)
        Links that the messages cross.
    steps : int64 array of shape (N,)
        Machine steps that the sample takes; 0 where the student did not run.
    busy_s : float64 array of shape (N,)
        Time that the sample takes on the neurocores: the sum over its steps of the longest core or link.
    bound_by : mapping of str to int
        In how many steps each term was the longest.
    """

    synops: Array
    updates: Array
    memory_words: Array
    spikes: Array
    messages_in: Array
    within_core: Array
    within_tile: Array
    within_chip: Array
    across_chips: Array
    from_host: Array
    hops_east_west: Array
    hops_north_south: Array
    steps: Array
    busy_s: Array
    bound_by: dict[str, int]
