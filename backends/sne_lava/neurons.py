"""The Lava processes of the neuron models: one row each. Imports no Lava."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sne_lava.job import GroupJob

PROCESSES: dict[str, str] = dict.fromkeys(
    ("lif", "cuba_lif", "if", "li", "cuba_li"), "sne_lava.processes.neurons.process"
)
"""A model's name, and the module whose ``process_of`` chooses the class of a group's process."""


def process_of(group: GroupJob) -> Any:
    """The class of the process that is a group; it imports Lava."""
    choose: Callable[[GroupJob], Any] = import_module(PROCESSES[group.kind]).process_of
    return choose(group)
