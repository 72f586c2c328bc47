"""What a strategy makes: for each group of each student, the core of every neuron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import Program
from sne_deploy.mapping.placement import PlacedGroup


@dataclass(frozen=True, eq=False)
class Partition:
    """Neurons shared out among cores that have no sites yet.

    Attributes
    ----------
    groups : tuple of PlacedGroup
        Every group of every student, in the order of students and of their Programs' groups.
    cores : int
    strategy : str
        Whose way of counting what a core uses it keeps to.
    """

    groups: tuple[PlacedGroup, ...]
    cores: int
    strategy: str = "packed"


Strategy = Callable[[Sequence[Program], Chip], Partition]
"""Shares the neurons of students out among cores; what it gives is checked against every limit."""
