"""A placement: for each neuron the core that holds it, for each core its place and what it uses.

Data alone. Partitioning and placing make it; counts, time and power are read off it. Everything that a core
uses follows from ``core_of`` and the Programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sne_deploy.brief import briefly

Array = npt.NDArray[Any]

Resource = Literal[
    "compartments",
    "in_axons",
    "out_axons",
    "out_axons_across_chips",
    "synapse_memory_bits",
    "groups",
    "thresholds",
    "synapse_formats",
]
"""What a core has a limited number of; the limits stand in ``[limits]`` of the chip's file."""


@dataclass(frozen=True)
class Use:
    """What a core uses of a resource, and how much it has; None where the chip's file gives no limit."""

    used: int
    limit: int | None


@dataclass(frozen=True)
class Site:
    """Where a core is: its chip, its tile's column (east-west) and row (north-south), its number there."""

    chip: int
    x: int
    y: int
    in_tile: int


@dataclass(frozen=True)
class Core:
    """One core in use.

    Attributes
    ----------
    site : Site
    uses : mapping of Resource to Use
    """

    site: Site
    uses: Mapping[Resource, Use]


@dataclass(frozen=True)
class Binding:
    """What cores have least left of: used and limit on the fullest of them."""

    resource: Resource
    used: int
    limit: int


def tightest(cores: Iterable[Core]) -> Binding | None:
    """What binds these cores; None where the chip's file limits nothing."""
    found = [
        Binding(resource, use.used, use.limit)
        for core in cores
        for resource, use in core.uses.items()
        if use.limit
    ]
    return max(found, key=lambda each: (each.used / each.limit, each.resource, each.used), default=None)


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class PlacedGroup:
    """Where the neurons of a group are.

    Attributes
    ----------
    student, name : str
        The Program's and the group's.
    core_of : int32 array of shape (n,)
        Index in :attr:`Placement.cores` of each neuron, in C order of the group's shape.
    tile : tuple of int
        Extent, along the group's shape, of its largest part on one core.
    """

    student: str
    name: str
    core_of: Array
    tile: tuple[int, ...]

    @property
    def cores(self) -> int:
        """How many cores hold a neuron of it."""
        return len(np.unique(self.core_of))


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Placement:
    """Students on the cores of one or more chips.

    Attributes
    ----------
    chip : str
        Whose limits it keeps.
    strategy : str
        How neurons were shared out among cores.
    groups : tuple of PlacedGroup
        Every group of every student, in the order of students and of their Programs' groups.
    cores : tuple of Core
    chips : int
    """

    chip: str
    strategy: str
    groups: tuple[PlacedGroup, ...]
    cores: tuple[Core, ...]
    chips: int

    def of(self, student: str, name: str) -> PlacedGroup:
        """Where a student's group is."""
        return next(each for each in self.groups if each.student == student and each.name == name)

    def cores_of(self, student: str) -> Array:
        """Indices of the cores that hold a neuron of the student, sorted."""
        return np.unique(np.concatenate([each.core_of for each in self.groups if each.student == student]))
