"""Weighted sums over the inputs that spike: ``a = sum over active j of W[:, j]``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[Any]


class RowGather:
    """Dense weights, stored transposed so that each input's weights are contiguous.

    Eight-bit weights of fewer than 2^23 inputs sum up exactly in 32 bits.

    Attributes
    ----------
    fan_out : int64 array of shape (n_in,)
        Non-zero weights of each input.
    """

    def __init__(self, weights: Array) -> None:
        weights = np.asarray(weights)
        self._rows = np.ascontiguousarray(weights.T)
        self.fan_out = np.count_nonzero(self._rows, axis=1).astype(np.int64)

    def __call__(self, active: Array) -> Array:
        """Sum the rows of the active inputs: int32 or float64 array of shape (n_out,), as the weights."""
        return np.asarray(np.add.reduce(self._rows[active], axis=0, dtype=self._rows.dtype))


class ColumnGather:
    """Sparse weights as CSC: few active inputs are gathered, many are one matrix product.

    Both ways add the columns in ascending order in float64 (exact for integers below 2^53), so which one
    is taken never changes a result.

    Attributes
    ----------
    fan_out : int64 array of shape (n_in,)
        Non-zero weights of each input.
    """

    GATHER_FRACTION = 0.08
    """Gathering one tap costs about 12 times as much as one tap of the product (measured, SciPy 1.17)."""

    def __init__(self, weights: sparse.csr_matrix) -> None:
        self._integer = np.issubdtype(weights.dtype, np.integer)
        csc = sparse.csc_matrix(weights, dtype=np.float64, copy=True)
        csc.eliminate_zeros()
        csc.sort_indices()
        self._csc = csc
        self.fan_out = np.diff(csc.indptr).astype(np.int64)

    def __call__(self, active: Array) -> Array:
        """Sum the columns of the active inputs: int64 or float64 array of shape (n_out,)."""
        lengths = self.fan_out[active]
        taps = int(lengths.sum())
        if taps > self.GATHER_FRACTION * self._csc.nnz:
            spikes = np.zeros(self._csc.shape[1])
            spikes[active] = 1.0
            total = np.asarray(self._csc @ spikes)
        else:
            total = self._gathered(active, lengths, taps)
        return total.astype(np.int64) if self._integer else total

    def _gathered(self, active: Array, lengths: Array, taps: int) -> Array:
        first = self._csc.indptr[active] - (np.cumsum(lengths) - lengths)
        where = np.repeat(first, lengths) + np.arange(taps)
        n_out = self._csc.shape[0]
        return np.bincount(self._csc.indices[where], weights=self._csc.data[where], minlength=n_out)
