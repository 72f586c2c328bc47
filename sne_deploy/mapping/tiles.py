"""The strategy ``intel``: how Intel's compiler shares neurons out among Loihi 2's cores.

Nothing is published of it: the rule was found from the core tables that the compiler printed in the notebooks
of lava-nc/lava-dl (tutorials/lava/lib/dl/netx). ``docs/mapping.md`` lists layer by layer where it is right.

- Layers never share a core.
- A map of shape (c, h, w) is cut into tiles of c channels, ceil(h / 2^k) rows and 2^j columns: as few tiles
  as possible, of those the squarest. A tile counts as whole, even where it reaches over the border. Where its
  kernels do not fit, the channels are halved; where anything else does not, the tile.
- Any other group begins as one part, and is divided by the ratio of use and limit, rounded up, until all fit.
- All-to-all weights are stored with their zeros; a shared kernel takes one or two in-axons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.errors import MappingError
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.ir.weights import ConvWeights
from sne_deploy.mapping.partition import Partition
from sne_deploy.mapping.placement import PlacedGroup
from sne_deploy.mapping.resources import arriving, limits

Array = npt.NDArray[Any]
Extent = tuple[int, int, int]


def intel(programs: Sequence[Program], chip: Chip) -> Partition:
    """Share neurons out among cores by Intel's rule for Loihi 2.

    Raises
    ------
    MappingError
        The chip's cores cannot share a convolution's kernel.
    """
    if chip.synapse_memory is None or chip.synapse_memory.convolution is None:
        raise MappingError(
            f"strategy 'intel' is Loihi 2's: chip {chip.name!r} has no synapse_memory.convolution; "
            "map with strategy 'packed'"
        )
    groups: list[PlacedGroup] = []
    cores = 0
    for program in programs:
        for group in program.groups:
            core_of, tile = _map(program, group, chip)
            groups.append(PlacedGroup(program.name, group.name, core_of + np.int32(cores), tile))
            cores += int(core_of.max()) + 1
    return Partition(tuple(groups), cores, "intel")


def tile_of(shape: Extent, channels: int, neurons: int) -> Extent:
    """The tile of as many channels that cuts a map into the fewest, of those the squarest.

    Parameters
    ----------
    shape : (c, h, w)
        Of the map.
    channels : int
        Not above ``neurons``.
    neurons : int
        Most in a tile.
    """
    fitting = [
        (channels, rows, columns)
        for rows in _rows(shape[1])
        for columns in _columns(shape[2])
        if channels * rows * columns <= neurons
    ]
    return min(fitting, key=lambda tile: (_tiles(shape, tile), abs(np.log2(tile[1] / tile[2]))))


def _rows(height: int) -> Iterator[int]:
    return (-(-height // 2**k) for k in range((height - 1).bit_length() + 1))


def _columns(width: int) -> Iterator[int]:
    return (2**j for j in range((width - 1).bit_length() + 1))


def _tiles(shape: Extent, tile: Extent) -> int:
    return int(np.prod([-(-whole // part) for whole, part in zip(shape, tile, strict=True)]))


def _numbered(shape: tuple[int, ...], part: tuple[int, ...]) -> Array:
    """The part that each neuron is in, in C order: int32 of shape (n,)."""
    at = [np.arange(whole) // each for whole, each in zip(shape, part, strict=True)]
    counts = [int(each[-1]) + 1 for each in at]
    return np.ravel_multi_index(np.ix_(*at), counts).reshape(-1).astype(np.int32)


def _map(program: Program, group: NeuronGroup, chip: Chip) -> tuple[Array, tuple[int, ...]]:
    """The core of each neuron, from 0, and the tile."""
    shape = _map_shape(program, group)
    if shape is None:
        return _divided(program, group, chip)
    core_of, tile = _tiled(program, group, shape, chip)
    extent = tuple(min(each) for each in zip(tile, shape, strict=True))
    return core_of, extent if len(group.shape) == 3 else extent[:1] + extent[3 - len(group.shape) + 1 :]


def _map_shape(program: Program, group: NeuronGroup) -> Extent | None:
    """(c, h, w) of a group that a convolution ends on, or whose shape is that of a map."""
    for synapse in program.synapses_into(group.name):
        if isinstance(synapse.weights, ConvWeights):
            return synapse.weights.out_shape
    return (group.shape[0], group.shape[1], group.shape[2]) if len(group.shape) == 3 else None


def _tiled(program: Program, group: NeuronGroup, shape: Extent, chip: Chip) -> tuple[Array, Extent]:
    most = chip.limits.neurons_per_core
    channels, neurons = shape[0], 2**62 if most is None else most.value // program.compartments(group)
    while True:
        while channels > max(neurons, 1):
            channels = -(-channels // 2)
        tile = tile_of(shape, channels, max(neurons, 1))
        core_of = _numbered(shape, tile)
        memory, other = _overflow(program, group, core_of, chip)
        if max(memory, other) <= 1 or tile == (1, 1, 1):
            return core_of, tile
        if memory > other and channels > 1:
            channels = -(-channels // 2)
        else:
            neurons = min(neurons, int(np.prod(tile))) // 2


def _divided(program: Program, group: NeuronGroup, chip: Chip) -> tuple[Array, tuple[int, ...]]:
    part = group.size
    while True:
        core_of = _numbered((group.size,), (part,))
        ratio = max(_overflow(program, group, core_of, chip))
        if ratio <= 1 or part == 1:
            return core_of, (part,)
        part = -(-part // int(np.ceil(ratio)))


def _overflow(program: Program, group: NeuronGroup, core_of: Array, chip: Chip) -> tuple[float, float]:
    """Used over limit on the fullest core: of synaptic memory, and of compartments and in-axons."""
    found = arriving(
        program.synapses_into(group.name), core_of, int(core_of.max()) + 1, chip, strategy="intel"
    )
    most = limits(chip, found.longest_delay)
    held = np.bincount(core_of) * program.compartments(group)
    memory, *other = (
        0.0 if limit is None else float((used / np.maximum(limit, 1e-9)).max())
        for used, limit in (
            (found.memory_bits, most["synapse_memory_bits"]),
            (held, most["compartments"]),
            (found.in_axons, most["in_axons"]),
        )
    )
    return memory, max(other)
