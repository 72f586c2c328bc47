"""One group is cut into pieces that each fit on a core, as few as may be: by rows, or a map by boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.weights import ConvWeights
from sne_deploy.mapping.layer import Layer, Pieces
from sne_deploy.mapping.parts import Box, Rows
from sne_deploy.mapping.refusal import refuse_neuron
from sne_deploy.mapping.resources import arriving

Array = npt.NDArray[Any]

BATCH = 2**22
"""Synapses of the pieces that are tried at once."""
SLACK = 0.9
"""Pieces that use less of what binds them are made larger."""
TRIED = 300
"""Boxes of a map that are tried at most."""
MARGIN = 0.7
"""Of what a box took that did not fit, the part that others of its size are sure to take."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Pieces of a group: of each neuron the piece's number, and what the pieces use."""

    piece_of: Array
    found: Pieces

    @property
    def pieces(self) -> int:
        """How many."""
        return len(self.found.ratio)


def cut(layer: Layer) -> Cut:
    """Pieces that fit, and are few.

    Raises
    ------
    MappingError
        A neuron fits on no core.
    """
    if layer.map_shape is not None:
        by_boxes = _by_boxes(layer, layer.map_shape)
        if by_boxes is not None:
            return by_boxes
    return _by_rows(layer)


def _whole(layer: Layer, piece_of: Array) -> Cut:
    pieces = int(piece_of.max()) + 1
    found = arriving(layer.synapses, piece_of, pieces, layer.chip)
    return Cut(piece_of, layer.used(slice(None), piece_of, found))


# By rows ----------------------------------------------------------------------------------------------------


def _by_rows(layer: Layer) -> Cut:
    """Neurons in order, each piece as large as fits; those that share registers side by side if need be."""
    size = layer.group.size
    order = _order(layer)
    most = _most_neurons(layer)
    batch = max(1, int(BATCH / max(1.0, layer.synapses_per_neuron)))
    piece_of, made = np.zeros(size, np.int32), 0
    start, rows, blocks = 0, most, 1
    while start < size:
        end = min(size, start + rows * blocks)
        local = (np.arange(end - start) // rows).astype(np.int32)
        ratio = _rows(layer, order, start, end, local)
        good = len(ratio) if np.all(ratio <= 1) else int(np.argmax(ratio > 1))
        if good == 0:
            rows, blocks = _largest(layer, order, start, min(rows, size - start)), 1
            continue
        end = min(end, start + good * rows)
        piece_of[order[start:end]] = local[: end - start] + made
        made, start = made + good, end
        if good < len(ratio):
            rows, blocks = max(1, min(rows - 1, int(rows / ratio[good]))), 1
        else:
            blocks = max(1, min(2 * blocks, batch // rows))
            if rows < most and ratio.max() < SLACK:
                rows = min(most, max(rows + 1, int(rows / ratio.max())))
    return _whole(layer, piece_of)


def _order(layer: Layer) -> Array:
    """Neurons in the order in which they are cut."""
    order = np.arange(layer.group.size)
    for values, limit in (
        (layer.configurations, layer.chip.limits.groups_per_core),
        (layer.thresholds, layer.chip.limits.thresholds_per_core),
    ):
        if limit is not None and len(np.unique(values)) > limit.value:
            order = order[np.argsort(values[order], kind="stable")]
    return order


def _most_neurons(layer: Layer) -> int:
    limit = layer.chip.limits.neurons_per_core
    return (
        layer.group.size
        if limit is None
        else max(1, min(layer.group.size, limit.value // layer.compartments))
    )


def _rows(layer: Layer, order: Array, start: int, end: int, local: Array) -> Array:
    """Used over limit of pieces of the neurons from start to end."""
    index = order[start:end]
    consecutive = len(index) == 0 or (
        index[-1] - index[0] == len(index) - 1 and bool(np.all(np.diff(index) == 1))
    )
    part = Rows(slice(int(index[0]), int(index[-1]) + 1) if consecutive else index)
    return layer.pieces(part, local, int(local[-1]) + 1).ratio


def _largest(layer: Layer, order: Array, start: int, fails: int) -> int:
    """The largest number of neurons from ``start`` that fits; one that does not is known."""
    fits = 0
    while fails - fits > 1:
        rows = (fits + fails) // 2
        if _rows(layer, order, start, start + rows, np.zeros(rows, np.int32))[0] <= 1:
            fits = rows
        else:
            fails = rows
    if fits == 0:
        refuse_neuron(layer, int(order[start]))
    return fits


# By boxes ---------------------------------------------------------------------------------------------------


def _by_boxes(layer: Layer, shape: tuple[int, int, int]) -> Cut | None:
    """Boxes of one size, as few as may be and then with the fewest in-axons; None where none is found."""
    failed: list[tuple[int, int, int]] = []
    memory = _LeastMemory(layer)
    tried = 0
    for size in _box_sizes(layer, shape):
        larger = any(all(a >= b for a, b in zip(size, other, strict=True)) for other in failed)
        if larger or not memory.may_fit(size):
            continue
        if tried == TRIED:
            return None
        tried += 1
        box = _middle(shape, size)
        found = layer.pieces(box, np.zeros(len(box.index), np.int32), 1)
        if found.ratio[0] > 1:
            failed.append(size)
            memory.learn(size, int(found.uses["synapse_memory_bits"][0]))
            continue
        whole = _whole(layer, _numbered(shape, size))
        if np.all(whole.found.ratio <= 1):
            return whole
    return None


class _LeastMemory:
    """What boxes need of synaptic memory, from those that were tried: in proportion, with a margin."""

    def __init__(self, layer: Layer) -> None:
        table, limit = layer.chip.synapse_memory, layer.chip.limits.synapse_memory_per_core
        self._shared = table is not None and table.convolution is not None
        self._limit = np.inf if limit is None else limit.value
        self._bits = 0.0

    def learn(self, size: tuple[int, int, int], bits: int) -> None:
        """A box that does not fit takes this."""
        each = MARGIN * bits / self._amount(size)
        self._bits = each if self._bits == 0 else min(self._bits, each)

    def may_fit(self, size: tuple[int, int, int]) -> bool:
        """Whether a box of this size is worth trying."""
        return self._bits * self._amount(size) <= self._limit

    def _amount(self, size: tuple[int, int, int]) -> int:
        return size[0] if self._shared else size[0] * size[1] * size[2]


def _numbered(shape: tuple[int, int, int], size: tuple[int, int, int]) -> Array:
    """The box of each neuron."""
    at = [np.arange(whole) // part for whole, part in zip(shape, size, strict=True)]
    counts = [int(each[-1]) + 1 for each in at]
    return np.ravel_multi_index(np.ix_(*at), counts).reshape(-1).astype(np.int32)


def _middle(shape: tuple[int, int, int], size: tuple[int, int, int]) -> Box:
    """A whole box far from the border."""
    spans = []
    for whole, part in zip(shape, size, strict=True):
        start = part * (whole // part // 2 if whole // part > 1 else 0)
        spans.append((start, start + part))
    return Box(shape, *spans)


def _box_sizes(layer: Layer, shape: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """Sizes that the compartments allow, the fewest boxes first, then the fewest in-axons.

    On many chips the fewest cores first: those of the boxes, and those that it takes to send to them, were
    all of them on other chips.
    """
    convolutions = [s.weights for s in layer.synapses if isinstance(s.weights, ConvWeights)]
    channels = [each for each in _parts(shape[0]) if all(_whole_groups(w, each) for w in convolutions)]
    sizes = [np.asarray(each) for each in (channels, _parts(shape[1]), _parts(shape[2]))]
    c, h, w = (each.reshape(-1) for each in np.meshgrid(*sizes, indexing="ij"))
    number = -(-shape[0] // c) * -(-shape[1] // h) * -(-shape[2] // w)
    axons = np.zeros(len(c))
    for weights in convolutions:
        high, wide = (_read(weights, axis, sizes[1 + axis]) for axis in (0, 1))
        each = weights.out_shape[0] // weights.groups
        hears = -(-c // each) * weights.kernel.shape[1]
        axons += hears * high[np.searchsorted(-sizes[1], -h)] * wide[np.searchsorted(-sizes[2], -w)]
    allowed = c * h * w <= _most_neurons(layer)
    limit = layer.chip.limits.in_axons_per_core
    if limit is not None and all(np.count_nonzero(w.kernel) > 0.7 * w.kernel.size for w in convolutions):
        allowed &= axons <= limit.value
    most = layer.chip.limits.out_axons_per_core
    if most is not None:
        allowed &= c * h * w * layer.sent.mean() * MARGIN <= most.value
    across = layer.chip.limits.out_axons_across_chips_per_core
    cores = number * (1 + axons / across.value) if layer.many_chips and across else number
    chosen = np.flatnonzero(allowed)
    chosen = chosen[np.lexsort((np.abs(h - w)[chosen], axons[chosen] * number[chosen], cores[chosen]))]
    return ((int(c[k]), int(h[k]), int(w[k])) for k in chosen)


def _parts(whole: int) -> list[int]:
    """Sizes of equal parts, the last one smaller: each that gives another number of them, falling."""
    return sorted({-(-whole // count) for count in range(1, whole + 1)}, reverse=True)


def _whole_groups(weights: ConvWeights, channels: int) -> bool:
    """Whether blocks of channels are whole groups of the convolution, or each is within one."""
    each = weights.out_shape[0] // weights.groups
    return weights.groups == 1 or channels % each == 0 or each % channels == 0


def _read(weights: ConvWeights, axis: int, sizes: Array) -> Array:
    """Input positions along an axis that a part of each size reads, in the middle of the map."""
    _, position, source = weights.reads(axis)
    found = []
    for size in sizes:
        (start, end) = _middle((1, 1, weights.out_shape[1 + axis]), (1, 1, int(size))).columns
        found.append(len(np.unique(source[(position >= start) & (position < end)])))
    return np.asarray(found)
