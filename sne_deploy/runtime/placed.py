"""What each core and link did: a run's spikes on a placement.

The counts are those of the unplaced run, shared out: their sums are equal, and checked. As there, a synapse
delivers within the sample only: what is sent too late for that is a spike, but no message and no SynOp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.mapping.wiring import PATHS

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
    longest : int64 array of shape (cores,)
        In how many steps it was the one that the others waited for.
    within_core, within_tile, within_chip, across_chips : int64 array of shape (N,)
        Messages by how far they go: one for each spike and each core that it reaches. Each is counted once.
    from_host : int64 array of shape (N,)
        Messages that enter from outside.
    hops_east_west, hops_north_south : int64 array of shape (N,)
        Links that the messages cross.
    host_steps : int64 array of shape (N,)
        Steps in which the host may send messages: all, or none.
    steps, latency_steps : int64 array of shape (N,)
        Machine steps after which the next sample is done, where samples follow each other without a pause;
        and from the first step of the sample to its last. 0 where the student did not run.
    busy_s, latency_busy_s : float64 array of shape (N,), or None
        The longest core or link of each of these steps, summed, without barrier; for ``busy_s`` the sample
        follows itself. None where the chip's file has no rates.
    bound_by : mapping of str to int
        In how many steps of ``steps`` each term was the longest: updates, synops, memory, links.
    """

    synops: Array
    updates: Array
    memory_words: Array
    spikes: Array
    messages_in: Array
    longest: Array
    within_core: Array
    within_tile: Array
    within_chip: Array
    across_chips: Array
    from_host: Array
    hops_east_west: Array
    hops_north_south: Array
    host_steps: Array
    steps: Array
    latency_steps: Array
    busy_s: Array | None
    latency_busy_s: Array | None
    bound_by: Mapping[str, int]

    def take(self, rows: Array) -> PlacedCounts:
        """The samples in another order; what is per core stays that of all."""
        changes: dict[str, Any] = {name: _or_none(getattr(self, name), rows) for name in PER_SAMPLE}
        return replace(self, **changes)


PER_SAMPLE = (
    *PATHS, "from_host", "host_steps", "steps", "latency_steps", "busy_s", "latency_busy_s",
)  # fmt: skip
"""Fields with an element for each sample."""


def join_placed(parts: Sequence[PlacedCounts]) -> PlacedCounts:
    """Counts of consecutive samples of one student, in order; at least one."""
    found: dict[str, Any] = {}
    for part in fields(PlacedCounts):
        values = [getattr(each, part.name) for each in parts]
        if part.name == "bound_by":
            found[part.name] = {term: sum(value[term] for value in values) for term in values[0]}
        elif part.name in PER_SAMPLE:
            found[part.name] = None if values[0] is None else np.concatenate(values)
        else:
            found[part.name] = np.sum(values, axis=0)
    return PlacedCounts(**found)


@dataclass(frozen=True, eq=False)
class PlacedTime:
    """An ensemble on N samples: its students' steps, side by side or one student after another.

    Attributes
    ----------
    steps, latency_steps : int64 array of shape (N,)
        As :class:`PlacedCounts` has them.
    busy_s, latency_busy_s : float64 array of shape (N,), or None
    """

    steps: Array
    latency_steps: Array
    busy_s: Array | None
    latency_busy_s: Array | None

    def take(self, rows: Array) -> PlacedTime:
        """The samples in another order."""
        changes: list[Any] = [_or_none(getattr(self, part.name), rows) for part in fields(self)]
        return PlacedTime(*changes)


def join_times(parts: Sequence[PlacedTime]) -> PlacedTime:
    """Times of consecutive samples, in order; at least one."""
    columns = [[getattr(each, part.name) for each in parts] for part in fields(PlacedTime)]
    joined: list[Any] = [None if values[0] is None else np.concatenate(values) for values in columns]
    return PlacedTime(*joined)


def _or_none(values: Array | None, rows: Array) -> Array | None:
    return None if values is None else values[rows]
