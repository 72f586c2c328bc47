"""Cores that came to use more than they have are halved, until none does.

What a neuron sends to other chips is known only when cores have their sites, and on a cycle what it sends at
all when every group is cut.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.mapping.partition import Partition
from sne_deploy.mapping.placement import PlacedGroup

Array = npt.NDArray[Any]


def halved(programs: Sequence[Program], partition: Partition, cores: Collection[int]) -> Partition:
    """Half the neurons of each of these cores, group by group, go to a core of their own.

    A map is parted by positions, so that few sources come to reach both halves. A core of one neuron stays.
    The new core is numbered next to the old one: what talks together stays together.
    """
    shapes = [group for program in programs for group in program.groups]
    groups = [_parted(group, each, cores) for group, each in zip(shapes, partition.groups, strict=True)]
    used, numbers = np.unique(np.concatenate([each.core_of for each in groups]), return_inverse=True)
    numbers = numbers.astype(np.int32)
    ends = np.cumsum([len(each.core_of) for each in groups])
    groups = [
        replace(each, core_of=part, tile=extent(shape.shape, part))
        for shape, each, part in zip(shapes, groups, np.split(numbers, ends[:-1]), strict=True)
    ]
    return replace(partition, groups=tuple(groups), cores=len(used))


def _parted(group: NeuronGroup, placed: PlacedGroup, cores: Collection[int]) -> PlacedGroup:
    """The second half of a core's neurons is on the core that is numbered 0.5 more."""
    core_of = placed.core_of.astype(np.float64)
    by_position = np.arange(group.size).reshape(group.shape[0], -1).T.reshape(-1)
    for core in set(cores) & set(np.unique(placed.core_of).tolist()):
        here = by_position[placed.core_of[by_position] == core]
        core_of[here[(len(here) + 1) // 2 :]] = core + 0.5
    return replace(placed, core_of=core_of)


def extent(shape: tuple[int, ...], core_of: Array) -> tuple[int, ...]:
    """How far the largest part on one core goes along each axis of the group's shape."""
    held, counts = np.unique(core_of, return_counts=True)
    neurons = np.flatnonzero(core_of == held[np.argmax(counts)])
    return tuple(len(np.unique(each)) for each in np.unravel_index(neurons, shape))
