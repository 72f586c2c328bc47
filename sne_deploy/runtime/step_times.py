"""How long each step takes: the core or link that all others wait for, found among those that it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.energy.time import StepRates
from sne_deploy.mapping.wiring import Wiring
from sne_deploy.runtime.placed import PlacedCounts, PlacedTime, StepTimes

Array = npt.NDArray[Any]

TERMS = ("updates", "synops", "memory", "links")


@dataclass(frozen=True, eq=False)
class Columns:
    """Cores and links that can take longer than all updates do: none else can be waited for.

    Attributes
    ----------
    of : tuple of CSR, each of shape (n, C)
        For each of the wiring's axons: operations of a spike of each neuron.
    term : int array of shape (C,)
        Index in :data:`TERMS`.
    core : int array of shape (C,)
        Index in ``Wiring.cores``; -1 of a link.
    rate_s : float64 array of shape (C,)
    idle_s : float
        Updates of the core that has most.
    """

    of: tuple[sparse.csr_matrix, ...]
    term: Array
    core: Array
    rate_s: Array
    idle_s: float

    @classmethod
    def find(cls, wiring: Wiring, rates: StepRates) -> Columns:
        """Every core's SynOps, its memory reads, every link; those left out can never be the longest."""
        cores = len(wiring.cores)
        half = wiring.axons[0].links.shape[1] // 2 if wiring.axons else 0
        each = (rates.synop_s, rates.word_s, rates.hop_east_west_s, rates.hop_north_south_s)
        several = [cores, cores, half, half]
        term = np.repeat([1, 2, 3, 3], several)
        core = np.concatenate([np.arange(cores), np.arange(cores), np.full(2 * half, -1)])
        rate_s = np.repeat([rate or 0.0 for rate in each], several)
        most = np.zeros(len(term))
        for axons in wiring.axons:
            for values, start in ((axons.synops, 0), (axons.words, cores), (axons.links, 2 * cores)):
                most[start : start + values.shape[1]] += np.asarray(values.sum(axis=0)).reshape(-1)
        idle_s = float(wiring.compartments.max()) * rates.update_s
        kept = np.flatnonzero(most * rate_s > idle_s)
        of = tuple(
            sparse.csr_matrix(sparse.hstack([axons.synops, axons.words, axons.links], format="csc")[:, kept])
            for axons in wiring.axons
        )
        return cls(of, term[kept], core[kept], rate_s[kept], idle_s)

    def longest(self, load: Array) -> tuple[Array, Array]:
        """Seconds of the longest column or of the updates, and its index: C of the updates.

        Parameters
        ----------
        load : array of shape (N, steps, C)
            Operations of each column in each step.
        """
        width = len(self.rate_s)
        if width == 0:
            return np.full(load.shape[:2], self.idle_s), np.full(load.shape[:2], width)
        seconds = load * self.rate_s
        which = seconds.argmax(axis=2)
        longest = np.take_along_axis(seconds, which[:, :, None], axis=2)[:, :, 0]
        return np.maximum(longest, self.idle_s), np.where(longest > self.idle_s, which, width)


def in_turn(placed: Sequence[PlacedCounts]) -> PlacedTime:
    """A cascade: one student after another, and the next sample after the last."""
    steps = np.sum([each.latency_steps for each in placed], axis=0)
    busy = [each.latency_busy_s for each in placed if each.latency_busy_s is not None]
    total = np.sum(busy, axis=0) if len(busy) == len(placed) else None
    return PlacedTime(steps, steps, total, total)


def side_by_side(placed: Sequence[PlacedCounts], times: Sequence[StepTimes], active: Array) -> PlacedTime:
    """Students that run together, each on cores of its own: a step lasts as long as the longest of theirs.

    Messages of several students on one link are not added up.
    """
    steps, latency = (
        np.max([getattr(each, name) for each in placed], axis=0) for name in ("steps", "latency_steps")
    )
    if len(times) < len(placed):
        return PlacedTime(steps, latency, None, None)
    streamed = reduce(np.maximum, [each.streamed for each in times]).sum(axis=1)
    longest = max(each.alone.shape[1] for each in times)
    alone = np.zeros((len(active), longest))
    for each, ran in zip(times, active.T, strict=True):
        after = longest - each.alone.shape[1]
        padded = np.pad(each.alone, [(0, 0), (0, after)], constant_values=each.idle_s)
        np.maximum(alone, padded, out=alone, where=ran[:, None])
    alone[np.arange(longest) >= latency[:, None]] = 0
    return PlacedTime(steps, latency, streamed, alone.sum(axis=1))
