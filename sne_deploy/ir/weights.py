"""The three forms of a synapse's weights, and their common view as a sparse matrix.

Flat indices are C order over a group's shape, channels first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.blocks import row_blocks

Array = npt.NDArray[Any]
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class DenseWeights:
    """All to all: ``array`` of shape (n_out, n_in)."""

    array: Array

    @property
    def shape(self) -> Pair:
        """(n_out, n_in)."""
        return (int(self.array.shape[0]), int(self.array.shape[1]))

    @property
    def values(self) -> Array:
        """The distinct stored weights, any shape."""
        return self.array

    def with_values(self, values: Array) -> DenseWeights:
        """The same synapse with other values, of the shape of :attr:`values`."""
        return DenseWeights(values)

    def matrix(self) -> sparse.csr_matrix:
        """CSR matrix of shape (n_out, n_in); zeros are no synapses and are not stored."""
        return _without_zeros(sparse.csr_matrix(self.array))

    def input_range(self) -> tuple[Array, Array]:
        """Smallest and largest sum that inputs of 0 and 1 can give each output: float64 of shape (n_out,)."""
        low, high = np.zeros(self.shape[0]), np.zeros(self.shape[0])
        for rows in row_blocks(self.array):
            values = self.array[rows].astype(np.float64)
            low[rows], high[rows] = np.minimum(values, 0).sum(axis=1), np.maximum(values, 0).sum(axis=1)
        return low, high


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """Any connectivity: ``csr`` of shape (n_out, n_in)."""

    csr: sparse.csr_matrix

    @property
    def shape(self) -> Pair:
        """(n_out, n_in)."""
        return (int(self.csr.shape[0]), int(self.csr.shape[1]))

    @property
    def values(self) -> Array:
        """The stored weights, shape (nnz,)."""
        return np.asarray(self.csr.data)

    def rows(self) -> Array:
        """The row of each stored weight, shape (nnz,)."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.csr.indptr))

    def with_values(self, values: Array) -> SparseWeights:
        """The same connectivity with other values, of the shape of :attr:`values`."""
        csr = sparse.csr_matrix((values, self.csr.indices, self.csr.indptr), shape=self.csr.shape)
        return SparseWeights(csr)

    def matrix(self) -> sparse.csr_matrix:
        """CSR matrix of shape (n_out, n_in); zeros are no synapses and are not stored."""
        return _without_zeros(self.csr.copy())

    def input_range(self) -> tuple[Array, Array]:
        """Smallest and largest sum that inputs of 0 and 1 can give each output: float64 of shape (n_out,)."""
        return _row_sums(self.csr, np.minimum), _row_sums(self.csr, np.maximum)


@dataclass(frozen=True, eq=False)
class ConvWeights:
    """Cross-correlation as in torch, on channels-first 2-d maps (1-d ones have height 1).

    Attributes
    ----------
    kernel : array of shape (c_out, c_in / groups, k_h, k_w)
    in_shape, out_shape : (c, h, w)
    stride, padding, dilation : (h, w)
    groups : int
    """

    kernel: Array
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def shape(self) -> Pair:
        """(n_out, n_in)."""
        return (int(np.prod(self.out_shape)), int(np.prod(self.in_shape)))

    @property
    def values(self) -> Array:
        """The kernel."""
        return self.kernel

    def with_values(self, values: Array) -> ConvWeights:
        """The same convolution with another kernel of the same shape."""
        return replace(self, kernel=values)

    def matrix(self) -> sparse.csr_matrix:
        """CSR matrix of shape (n_out, n_in); taps outside the border and zero taps are not stored."""
        c_out, per_group, k_h, k_w = self.kernel.shape
        (i, y, source_y), (j, x, source_x) = (self.reads(axis) for axis in (0, 1))
        o, c = np.arange(c_out)[:, None, None, None], np.arange(per_group)[:, None, None]
        i, y, source_y = i[:, None], y[:, None], source_y[:, None]
        source = o // (c_out // self.groups) * per_group + c
        row = (o * self.out_shape[1] + y) * self.out_shape[2] + x
        column = (source * self.in_shape[1] + source_y) * self.in_shape[2] + source_x
        tap = ((o * per_group + c) * k_h + i) * k_w + j
        shape = np.broadcast_shapes(column.shape, tap.shape)
        row, column, tap = (np.broadcast_to(index, shape).reshape(-1) for index in (row, column, tap))
        return _without_zeros(
            sparse.csr_matrix((self.kernel.reshape(-1)[tap], (row, column)), shape=self.shape)
        )

    def input_range(self) -> tuple[Array, Array]:
        """Smallest and largest sum that inputs of 0 and 1 can give each output: float64 of shape (n_out,).

        From the kernel and the border alone, without the matrix.
        """
        inside = []
        for axis in (0, 1):
            tap, position, _ = self.reads(axis)
            inside.append(np.zeros((self.kernel.shape[2 + axis], self.out_shape[1 + axis])))
            inside[-1][tap, position] = 1
        return self._tap_sums(np.minimum, *inside), self._tap_sums(np.maximum, *inside)

    def reads(self, axis: int) -> tuple[Array, Array, Array]:
        """Along an axis, the taps that read inside the border, the output and the input positions of each."""
        tap = np.arange(self.kernel.shape[2 + axis])[:, None] * self.dilation[axis]
        source = np.arange(self.out_shape[1 + axis]) * self.stride[axis] - self.padding[axis] + tap
        taps, positions = np.nonzero((source >= 0) & (source < self.in_shape[1 + axis]))
        return taps, positions, source[taps, positions]

    def _tap_sums(self, part: Callable[..., Array], rows: Array, columns: Array) -> Array:
        taps = part(self.kernel.astype(np.float64), 0).sum(axis=1)
        return np.asarray(np.einsum("oij,iy,jx->oyx", taps, rows, columns, optimize=True).reshape(-1))


Weights = DenseWeights | SparseWeights | ConvWeights


def map_values(weights: Weights, function: Callable[[Array], Array]) -> Weights:
    """Apply an elementwise function to the stored values."""
    return weights.with_values(function(weights.values))


def scale_rows(weights: Weights, gain: Array) -> Weights:
    """Multiply row i by gain[i]; a convolution stays one where the gain is uniform in each channel."""
    if gain.ndim == 0:
        return weights if float(gain) == 1.0 else map_values(weights, lambda values: values * float(gain))
    if isinstance(weights, DenseWeights):
        return DenseWeights(weights.array * gain[:, None])
    if isinstance(weights, ConvWeights):
        per_channel = gain.reshape(weights.out_shape[0], -1)
        if bool(np.all(per_channel == per_channel[:, :1])):
            return weights.with_values(weights.kernel * per_channel[:, 0, None, None, None])
    return SparseWeights(sparse.csr_matrix(sparse.diags(gain) @ weights.matrix()))


def row_powers(weights: Weights, values: Array) -> Array:
    """Sum of squares of ``values``, of the shape of the weights' own, of each output: (n_out,).

    Of a convolution: over its kernel, borders or not.
    """
    return powers_of(weights, lambda rows: values[rows])


def powers_of(weights: Weights, values: Callable[[slice], Array]) -> Array:
    """The same of what a function gives for some rows of the weights' own values."""
    if isinstance(weights, SparseWeights):
        found = values(slice(None))
        return np.bincount(weights.rows(), found * found, weights.shape[0])
    powers = np.zeros(len(weights.values))
    for rows in row_blocks(weights.values):
        flat = values(rows).reshape(len(powers[rows]), -1)
        powers[rows] = np.einsum("ij,ij->i", flat, flat)
    return np.repeat(powers, weights.shape[0] // len(powers))


def row_extents(weights: Weights) -> Array:
    """The largest magnitude of each output's weights: float64 of shape (n_out,)."""
    values = np.asarray(weights.values)
    if isinstance(weights, SparseWeights):
        found = np.zeros(weights.shape[0])
        np.maximum.at(found, weights.rows(), np.abs(values.astype(np.float64)))
        return found
    each = values.reshape(len(values), -1)
    low, high = each.min(axis=1, initial=0), each.max(axis=1, initial=0)
    extents = np.maximum(high.astype(np.float64), -low.astype(np.float64))  # an int8 has no 128
    return np.repeat(extents, weights.shape[0] // len(extents))


def only_rows(weights: Weights, rows: Array) -> Weights:
    """The same weights, 0 where ``rows``, bool of shape (n_out,), are not; a convolution's by channel."""
    values = np.asarray(weights.values)
    if isinstance(weights, SparseWeights):
        return weights.with_values(values * rows[weights.rows()])
    per_row = rows.reshape(len(values), -1)[:, 0]
    return weights.with_values(values * per_row.reshape(-1, *[1] * (values.ndim - 1)))


def _row_sums(csr: sparse.csr_matrix, part: Callable[..., Array]) -> Array:
    values = part(csr.data.astype(np.float64), 0)
    kept = sparse.csr_matrix((values, csr.indices, csr.indptr), shape=csr.shape)
    return np.asarray(kept @ np.ones(csr.shape[1]))


def _without_zeros(csr: sparse.csr_matrix) -> sparse.csr_matrix:
    csr.eliminate_zeros()
    csr.sort_indices()
    return csr
