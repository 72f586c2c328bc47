"""A synapse in the forms in which this machine can compute it; all of them give the same integers.

* ``events``: rows of weights are added for every spike. Work follows activity.
* ``matrix``: one 8-bit matrix product with 32-bit accumulation for all samples and steps. Exact, since
  32-bit sums cannot overflow (checked), and used only where the processor accumulates 8-bit products
  without saturation; else one in float32 where every partial sum is below 2^24 (checked).
* ``patches``: a convolution as that 8-bit product, of what it looks at from each place.
* ``convolution``: float32 convolution, where every partial sum is below 2^24 (checked). Libraries go through
  fractions for some shapes, and get others wrong: every result is held to a checksum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights
from sne_loihi import kernels
from sne_loihi.order import NeuronOrder
from sne_loihi.products import FLOAT32_EXACT, Convolution, Patches, Product, reached
from sne_loihi.vectors import LANES

Array = npt.NDArray[Any]

_NO_VALUES = np.zeros(0, np.int16)
_NO_COLUMNS = (np.zeros(1, np.int64), np.zeros(0, np.int64), _NO_VALUES)
_NO_ORIGINS = np.zeros(0, np.int32)

DENSE_ENOUGH = 0.25
"""A sparse matrix with at least this part of its entries is computed as a dense one."""


@dataclass(frozen=True, eq=False)
class Operator:
    """One synapse between two groups, each in its inner order. What it is computed from is made when needed.

    Attributes
    ----------
    synapse : Synapse
    source, target : NeuronOrder
    """

    synapse: Synapse
    source: NeuronOrder
    target: NeuronOrder

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        return self.synapse.weights.shape

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """int32 CSR of shape (n_out, n_in), in the inner order of both ends; existing synapses only."""
        matrix = self.synapse.weights.matrix().astype(np.int32)
        matrix = sparse.csr_matrix(matrix[self.target.order][:, self.source.order])
        matrix.sort_indices()
        return matrix

    @cached_property
    def array(self) -> Array:
        """int32 (n_out, n_in): the matrix written out."""
        weights = self.synapse.weights
        if isinstance(weights, DenseWeights) and self.source.channels == self.target.channels == 1:
            return np.asarray(weights.array, np.int32)
        return self.matrix.toarray()

    @property
    def shift(self) -> int:
        """The exponent: sums are shifted left by it."""
        return self.synapse.weight_exp

    @cached_property
    def fan_out(self) -> Array:
        """int64 (n_in,): existing synapses of each input."""
        return self.source.inside(fan_out(self.synapse.weights))

    @cached_property
    def largest_sum(self) -> int:
        """Bound on the magnitude of any partial sum: the largest row of absolute weights."""
        low, high = self.synapse.weights.input_range()
        return int(np.max(high - low, initial=0))

    @property
    def conv(self) -> ConvWeights | None:
        """The convolution, where it is one and both ends are in its order."""
        weights = self.synapse.weights
        if not isinstance(weights, ConvWeights):
            return None
        fits = (
            self.source.channels in (1, weights.in_shape[0]) and self.target.channels == weights.out_shape[0]
        )
        return weights if fits else None

    @property
    def is_dense(self) -> bool:
        """Whether a dense product wastes little."""
        if isinstance(self.synapse.weights, DenseWeights):
            return True
        rows, columns = self.shape
        return self.conv is None and bool(self.fan_out.sum() >= DENSE_ENOUGH * rows * columns)

    @cached_property
    def events(self) -> tuple[Any, ...]:
        """What :func:`sne_loihi.kernels.gather` needs: form, base, its arrays (the others empty), width."""
        conv = self.conv
        if conv is not None:
            rows = _rows_by_input(conv)
            origins = _origins(conv, self.source, rows.shape[1])
            return (kernels.CONV, 0, rows.reshape(-1), *_places(conv), _NO_VALUES, origins, rows.shape[1])
        if self.is_dense:
            rows = _padded(self.array.T)
            return (kernels.DENSE, 0, rows.reshape(-1), *_NO_COLUMNS, _NO_ORIGINS, rows.shape[1])
        by_column = self.matrix.tocsc()
        columns = (by_column.indptr.astype(np.int64), by_column.indices.astype(np.int64))
        return (kernels.COLUMNS, 0, _NO_VALUES, *columns, by_column.data.astype(np.int16), _NO_ORIGINS, 0)

    @property
    def row_width(self) -> int:
        """Sums a row of weights is added to: all of a dense layer, or a convolution group's channels."""
        conv = self.conv
        return self.shape[0] if conv is None else conv.out_shape[0] // conv.groups

    @cached_property
    def product(self) -> Product | None:
        """The matrix product, where it is exact and wastes little."""
        return Product.of(self.array.T, self.largest_sum) if self.is_dense else None

    @cached_property
    def patches(self) -> Patches | None:
        """The convolution as an 8-bit matrix product, where that is exact."""
        return None if self.conv is None else Patches.of(self.conv, self.source, self.largest_sum)

    @cached_property
    def convolution(self) -> Convolution | None:
        """The float32 convolution, where it is exact."""
        if self.conv is None or self.largest_sum >= FLOAT32_EXACT:
            return None
        return Convolution.of(self.conv, self.source, self.target)


def _padded(values: Array) -> Array:
    """int16, C order, the last axis filled up with zeros to a multiple of the kernels' lanes."""
    lanes = LANES
    width = -(-values.shape[-1] // lanes) * lanes
    padded = np.zeros((*values.shape[:-1], width), np.int16)
    padded[..., : values.shape[-1]] = values
    return padded


def _rows_by_input(conv: ConvWeights) -> Array:
    """The kernel as int16 (c_in k_h k_w, padded c_out / groups): a row per input channel and tap."""
    per_group = conv.kernel.shape[0] // conv.groups
    taps = conv.kernel.reshape(conv.groups, per_group, *conv.kernel.shape[1:])
    return _padded(taps.transpose(0, 2, 3, 4, 1).reshape(-1, per_group))


def _origins(conv: ConvWeights, source: NeuronOrder, width: int) -> Array:
    """int32 (3 n_in,): of each input, in the source's order, its place, first weight and first channel."""
    places = conv.in_shape[1] * conv.in_shape[2]
    c, place = np.divmod(source.order, places)
    group = c // (conv.in_shape[0] // conv.groups)
    row = c * (conv.kernel.shape[2] * conv.kernel.shape[3] * width)
    first = group * (conv.out_shape[0] // conv.groups)
    return np.stack([place, row, first], axis=1).astype(np.int32).ravel()


def _places(conv: ConvWeights) -> tuple[Array, Array]:
    """For each input place, the taps that stay inside the map, and the first sum of the place they reach.

    Returns
    -------
    indptr : int64 (h w + 1,)
    pairs : int64 (2 entries,)
        Tap and sum, one after the other.
    """
    y, y_tap, y_out = reached(conv, 0)
    x, x_tap, x_out = reached(conv, 1)
    place = (y[:, None] * conv.in_shape[2] + x).ravel()
    tap = (y_tap[:, None] * conv.kernel.shape[3] + x_tap).ravel()
    start = ((y_out[:, None] * conv.out_shape[2] + x_out) * conv.out_shape[0]).ravel()
    order = np.argsort(place, kind="stable")
    places = conv.in_shape[1] * conv.in_shape[2]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=places))]).astype(np.int64)
    return indptr, np.stack([tap[order], start[order]], axis=1).astype(np.int64).ravel()
