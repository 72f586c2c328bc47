"""The strategy ``packed``: as few cores as every limit allows, whatever shares one.

Every group is cut into pieces that fit on a core, targets before their sources, since a source's out-axons
are as many as the pieces that it reaches; on cycles again until nothing changes. Then pieces are put on
cores, those of different groups together: largest first, each on the fullest core that has room.

Students share no core: the cores of one that is not asked have nothing to do, its time is its own, and its
cores can be switched off without another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import Program
from sne_deploy.mapping.bins import Item, fill
from sne_deploy.mapping.cutting import Cut, cut
from sne_deploy.mapping.halving import extent
from sne_deploy.mapping.layer import Layer
from sne_deploy.mapping.partition import Partition
from sne_deploy.mapping.placement import PlacedGroup, Resource

Array = npt.NDArray[Any]

ROUNDS = 8
"""How often the groups of a cycle are cut; the mapper looks at what does not fit then."""


def packed(programs: Sequence[Program], chip: Chip, *, many_chips: bool = False) -> Partition:
    """Share neurons out among cores, several groups of a student to a core.

    Parameters
    ----------
    programs : sequence of Program
    chip : Chip
    many_chips : bool
        Whether what cores can send to other chips is short: maps are cut so that few cores hear a neuron.
    """
    groups: list[PlacedGroup] = []
    cores = 0
    for program in programs:
        found = cut_program(program, chip, many_chips=many_chips)
        core_of_item = cores + fill([item for layer, each in found for item in _items(layer, each)], chip)
        cores = int(core_of_item.max()) + 1
        at = 0
        for layer, each in found:
            core_of = core_of_item[at + each.piece_of].astype(np.int32)
            at += each.pieces
            tile = extent(layer.group.shape, core_of)
            groups.append(PlacedGroup(program.name, layer.group.name, core_of, tile))
    return Partition(tuple(groups), cores)


def cut_program(program: Program, chip: Chip, *, many_chips: bool = False) -> list[tuple[Layer, Cut]]:
    """Every group with its pieces, in the Program's order."""
    cuts: dict[str, tuple[Layer, Cut]] = {}
    sent = {group.name: np.zeros(group.size, np.int64) for group in program.groups}
    for _ in range(ROUNDS):
        changed = False
        for group in reversed(program.groups):
            needed = np.maximum(sent[group.name], _sent(program, group.name, cuts))
            if group.name in cuts and np.array_equal(needed, sent[group.name]):
                continue
            sent[group.name] = needed
            layer = Layer(program, group, needed, chip, many_chips)
            cuts[group.name] = (layer, cut(layer))
            changed = True
        if not changed:
            break
    return [cuts[group.name] for group in program.groups]


def _sent(program: Program, name: str, cuts: dict[str, tuple[Layer, Cut]]) -> Array:
    """Out-axons of each neuron of a group: pieces that it reaches, of the targets that are cut."""
    found = np.zeros(program.group(name).size, np.int64)
    for layer, each in cuts.values():
        for synapse, reached in zip(layer.synapses, each.found.arriving.reached, strict=True):
            if synapse.source == name:
                found += np.diff(reached.indptr)
    return found


def _items(layer: Layer, each: Cut) -> list[Item]:
    """The pieces of a group, as what is put on cores."""
    uses, arriving = each.found.uses, each.found.arriving
    thresholds: list[set[int]] = [set() for _ in range(each.pieces)]
    formats: list[set[Any]] = [set() for _ in range(each.pieces)]
    if layer.group.spiking:
        pairs = np.unique(np.stack([each.piece_of, layer.thresholds], axis=1), axis=0)
        for piece, value in pairs.tolist():
            thresholds[piece].add(value)
    for pieces, form in arriving.formats:
        for piece in pieces.tolist():
            formats[piece].add(form)
    added: tuple[Resource, ...] = (
        "compartments", "in_axons", "out_axons", "synapse_memory_bits", "groups",
    )  # fmt: skip
    table = np.stack([uses[name] for name in added], axis=1)
    return [
        Item(
            table[k],
            int(arriving.longest_delay[k]),
            float(each.found.ratio[k]),
            thresholds[k],
            formats[k],
        )
        for k in range(each.pieces)
    ]
