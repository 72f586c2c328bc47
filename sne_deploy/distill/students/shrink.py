"""Neurons that reach nothing, taken out of a student: what is left computes the same outputs.

A channel of neurons between two maps of which every weight in the second is 0: its row of the first map, what
its batch norm and its cells have of their own, and its columns of the second map go. Cells after a
``Flatten``, recurrent ones, those whose spikes a skip takes, grouped convolutions, and what a grouped skip
adds to are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sne_deploy.distill.students.networks import trainable_copy
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.skips import SKIPS, over, source_of
from sne_deploy.neurons.table import CELLS

Array = npt.NDArray[Any]
_MAPS = ("Linear", "Conv1d", "Conv2d")
_NORMS = ("BatchNorm1d", "BatchNorm2d")


@dataclass(frozen=True)
class Hidden:
    """Neurons between two maps, by positions of layers: the maps, and what has a part for each channel."""

    before: int
    own: tuple[int, ...]
    after: int


def hidden_groups(
    kinds: Sequence[str], groups: Sequence[int], overs: Sequence[int] | None = None
) -> list[Hidden]:
    """Of layers of these kinds; ``groups`` of each, 1 where it is no convolution.

    ``overs``: how many cells each passes that is a skip; cells whose spikes one takes are left out, as are
    those onto which one with groups adds: other channels would be in a group.
    """
    skipped = _sources(kinds, overs or [0] * len(kinds))
    found: list[Hidden] = []
    before: int | None = None
    own: list[int] = []
    fires = flat = False
    for index, (kind, count) in enumerate(zip(kinds, groups, strict=True)):
        if kind in _MAPS:
            if before is not None and fires and count == 1 and skipped.isdisjoint(own):
                found.append(Hidden(before, tuple(own), index))
            before, own, fires, flat = index if count == 1 else None, [], False, False
        elif kind in CELLS and (flat or fires or "Recurrent" in kind):
            before = None
        elif kind in CELLS or kind in _NORMS or kind in SKIPS:
            own.append(index)
            fires = fires or kind in CELLS
            before = None if flat or (kind in SKIPS and count != 1) else before
        elif kind == "Flatten":
            flat = True
    return found


def _sources(kinds: Sequence[str], overs: Sequence[int]) -> set[int]:
    """Positions of the cells whose spikes a skip takes."""
    cells: list[int] = []
    found: set[int | None] = set()
    for index, (kind, passed) in enumerate(zip(kinds, overs, strict=True)):
        if kind in SKIPS:
            found.add(source_of(passed, cells))
        elif kind in CELLS:
            cells.append(index)
    return {one for one in found if one is not None}


def shrunk(network: nn.Module) -> nn.Module:
    """A copy without the neurons that reach nothing; the network itself where there are none."""
    layers = layers_from_module(network)
    smaller = without_idle(layers)
    if all(one is other for one, other in zip(layers, smaller, strict=True)):
        return network
    return trainable_copy(module_from_layers(smaller)).eval()


def without_idle(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers without them, from the last to the first: one of each group stays."""
    made = list(layers)
    groups = [int(layer.options.get("groups", 1) or 1) for layer in layers]  # type: ignore[arg-type]
    overs = [over(layer) if layer.kind in SKIPS else 0 for layer in layers]
    for hidden in reversed(hidden_groups([layer.kind for layer in layers], groups, overs)):
        first, after = made[hidden.before], made[hidden.after]
        channels = len(first.tensors["weight"])
        columns = after.tensors["weight"].reshape(len(after.tensors["weight"]), channels, -1)
        used = np.any(columns != 0, axis=(0, 2))
        used[0] |= not used.any()
        if used.all():
            continue
        made[hidden.before] = _rows(first, used)
        for index in hidden.own:
            made[index] = _rows(made[index], used)
        weight = after.tensors["weight"]
        left = columns[:, used].reshape(len(weight), -1, *weight.shape[2:])
        made[hidden.after] = replace(after, tensors={**after.tensors, "weight": left})
    return tuple(made)


def _rows(layer: Layer, used: Array) -> Layer:
    """Of every tensor with a part for each channel, the parts that are used."""
    tensors = {
        name: np.asarray(tensor)[used] if np.ndim(tensor) and len(tensor) == len(used) else tensor
        for name, tensor in layer.tensors.items()
    }
    return replace(layer, tensors=tensors)
