"""The Pareto front: what no other point beats in accuracy, energy and latency at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.exploration.figures import Columns

Array = npt.NDArray[Any]


def front(columns: Columns) -> Array:
    """Indices of the points that no other dominates, by rising energy; of equal points the first alone.

    A point dominates another that is no better in anything and worse in something.
    """
    energy = columns.energy_j
    latency = np.zeros_like(energy) if columns.latency_s is None else columns.latency_s
    kept: list[int] = []
    stairs: list[tuple[float, float]] = []  # of the points so far: energies rise, latencies fall
    for index in np.lexsort((np.arange(len(energy)), latency, energy, -columns.accuracy)):
        step = (float(energy[index]), float(latency[index]))
        place = bisect_right(stairs, (step[0], np.inf))
        if place and stairs[place - 1][1] <= step[1]:
            continue  # as accurate, as cheap and as fast is there already
        kept.append(int(index))
        first = bisect_left(stairs, (step[0], -np.inf))
        while first < len(stairs) and stairs[first][1] >= step[1]:
            del stairs[first]
        insort(stairs, step)
    return np.array(sorted(kept, key=lambda at: (energy[at], latency[at])), np.int64)
