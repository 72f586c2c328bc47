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

from sne_deploy.brief import briefly
from sne_deploy.mapping.wiring import PATHS
from sne_deploy.runtime.packed import join_field, packs

Array = npt.NDArray[Any]

PER_SAMPLE = (
    *PATHS, "from_host", "host_steps", "steps", "latency_steps", "busy_s", "latency_busy_s",
)  # fmt: skip
"""Fields with an element for each sample."""
_SUMS = ("steps", "latency_steps", "busy_s", "latency_busy_s")


@packs(*PER_SAMPLE)
@briefly
@dataclass(frozen=True, eq=False, repr=False)
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
    busiest_s : float64 array of shape (cores,), or None
        Its longest step of those that make ``busy_s``, without links: at least the updates of the student's
        fullest core. None where the chip's file has no rates.
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
    sent_by : mapping of group name to tuple of six int
        What each group's spikes add to the six counts of messages and links, over the samples that it ran on.
    """

    synops: Array
    updates: Array
    memory_words: Array
    spikes: Array
    messages_in: Array
    longest: Array
    busiest_s: Array | None
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
    sent_by: Mapping[str, tuple[int, ...]]

    def take(self, rows: Array) -> PlacedCounts:
        """The samples in another order; what is per core stays that of all."""
        changes: dict[str, Any] = {name: _or_none(getattr(self, name), rows) for name in PER_SAMPLE}
        return replace(self, **changes)


def join_placed(parts: Sequence[PlacedCounts]) -> PlacedCounts:
    """Counts of consecutive samples of one student, in order; at least one."""
    found: dict[str, Any] = {}
    for part in fields(PlacedCounts):
        values = [each.__dict__[part.name] for each in parts]
        if part.name in PER_SAMPLE:
            found[part.name] = None if values[0] is None else join_field(parts, part.name)
        elif part.name == "bound_by":
            found[part.name] = {term: sum(value[term] for value in values) for term in values[0]}
        elif part.name == "sent_by":
            sums = {name: np.sum([value[name] for value in values], axis=0) for name in values[0]}
            found[part.name] = {name: tuple(total.tolist()) for name, total in sums.items()}
        elif part.name == "busiest_s":
            found[part.name] = None if values[0] is None else np.max(values, axis=0)
        else:
            found[part.name] = np.sum(values, axis=0)
    return PlacedCounts(**found)


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class StepTimes:
    """The longest core or link of every step, without barrier, in seconds: arrays over samples and steps.

    Attributes
    ----------
    streamed : float64 array of shape (N, T)
        Where the sample follows itself.
    alone : float64 array of shape (N, T + D)
        From its first step to its last.
    idle_s : float
        Of a step in which nothing arrives: updates alone.
    """

    streamed: Array
    alone: Array
    idle_s: float

    def take(self, rows: Array) -> StepTimes:
        """The samples in another order, or some of them."""
        return replace(self, streamed=self.streamed[rows], alone=self.alone[rows])


def join_steps(parts: Sequence[StepTimes]) -> StepTimes:
    """Steps of consecutive samples of one student; shorter ones are idle at the end."""
    idle_s = parts[0].idle_s
    streamed = _joined([part.streamed for part in parts], 0.0)
    return StepTimes(streamed, _joined([part.alone for part in parts], idle_s), idle_s)


def _joined(parts: Sequence[Array], after: float) -> Array:
    longest = max(part.shape[1] for part in parts)
    padded = [np.pad(part, [(0, 0), (0, longest - part.shape[1])], constant_values=after) for part in parts]
    return np.concatenate(padded)


@packs(*_SUMS)
@briefly
@dataclass(frozen=True, eq=False, repr=False)
class PlacedTime:
    """An ensemble on N samples: its students' steps, side by side or one student after another.

    Attributes
    ----------
    steps, latency_steps : int64 array of shape (N,)
        As :class:`PlacedCounts` has them.
    busy_s, latency_busy_s : float64 array of shape (N,), or None
    each : tuple of StepTimes, one for each student
        Every step by itself, where that was asked for; else empty.
    """

    steps: Array
    latency_steps: Array
    busy_s: Array | None
    latency_busy_s: Array | None
    each: tuple[StepTimes, ...] = ()

    def take(self, rows: Array) -> PlacedTime:
        """The samples in another order."""
        changes: dict[str, Any] = {name: _or_none(getattr(self, name), rows) for name in _SUMS}
        return replace(self, **changes, each=tuple(one.take(rows) for one in self.each))


def join_times(parts: Sequence[PlacedTime]) -> PlacedTime:
    """Times of consecutive samples, in order; at least one."""
    joined: dict[str, Any] = {
        name: None if parts[0].__dict__[name] is None else join_field(parts, name) for name in _SUMS
    }
    same = zip(*(part.each for part in parts), strict=True)
    return PlacedTime(**joined, each=tuple(join_steps(steps) for steps in same))


def _or_none(values: Array | None, rows: Array) -> Array | None:
    return None if values is None else values[rows]
