"""The synapses of some of a group's neurons: weights cut to rows, or to a box of a map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights

Array = npt.NDArray[Any]
Extent = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Rows:
    """Neurons of a group, by index: a slice or an int array."""

    index: slice | Array

    def of(self, weights: Weights) -> Weights:
        """Their weights alone."""
        return rows_of(weights, self.index)


@dataclass(frozen=True)
class Box:
    """A box of a map of shape (c, h, w): first and last + 1 of each axis."""

    shape: tuple[int, int, int]
    channels: Extent
    rows: Extent
    columns: Extent

    @property
    def index(self) -> Array:
        """The neurons, in C order."""
        ranges = [np.arange(*each) for each in (self.channels, self.rows, self.columns)]
        return np.asarray(np.ravel_multi_index(np.ix_(*ranges), self.shape).reshape(-1))

    def of(self, weights: Weights) -> Weights:
        """Their weights alone; a convolution stays one where the box has whole groups, or is within one."""
        if isinstance(weights, ConvWeights) and weights.out_shape == self.shape:
            channels = _channels(weights, *self.channels)
            if channels is not None:
                return _convolution(weights, self, channels)
        return rows_of(weights, self.index)


def rows_of(weights: Weights, index: slice | Array) -> Weights:
    """The weights of some neurons of the target."""
    if isinstance(weights, DenseWeights):
        return DenseWeights(weights.array[index])
    csr = weights.csr if isinstance(weights, SparseWeights) else weights.matrix()
    return SparseWeights(csr[index])


def _channels(weights: ConvWeights, first: int, last: int) -> tuple[int, int, int] | None:
    """Groups that output channels are in, and the input channels from and to; None where they cut groups."""
    each, per_group = weights.out_shape[0] // weights.groups, weights.kernel.shape[1]
    low, high = first // each, -(-last // each)
    if high - low > 1 and (first % each or last % each):
        return None
    return high - low, low * per_group, high * per_group


def _convolution(weights: ConvWeights, box: Box, channels: tuple[int, int, int]) -> ConvWeights:
    """The convolution that gives a box of the outputs from the inputs that these read.

    Its input is cut to the box's receptive field, so that its flat indices are its own.
    """
    groups, *inputs = channels
    sizes, padding = [], []
    for axis, (first, last) in enumerate((box.rows, box.columns)):
        reach = weights.dilation[axis] * (weights.kernel.shape[2 + axis] - 1)
        start = first * weights.stride[axis] - weights.padding[axis]
        end = (last - 1) * weights.stride[axis] - weights.padding[axis] + reach + 1
        padding.append(max(0, -start))
        sizes.append(max(0, min(end, weights.in_shape[1 + axis]) - max(start, 0)))
    shape = (box.channels[1] - box.channels[0], box.rows[1] - box.rows[0], box.columns[1] - box.columns[0])
    return replace(
        weights,
        kernel=weights.kernel[slice(*box.channels)],
        in_shape=(inputs[1] - inputs[0], sizes[0], sizes[1]),
        out_shape=shape,
        padding=(padding[0], padding[1]),
        groups=groups,
    )
