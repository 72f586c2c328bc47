"""Is a sparse matrix between maps a convolution? Then NIR can say it with a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.weights import ConvWeights

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

_MOST_STRIDE = 8
_EMPTY_EDGE = 3
"""Rows and columns of zero taps that a kernel may have at its edges."""


def conv_of(matrix: sparse.csr_matrix, in_shape: Shape, out_shape: Shape) -> ConvWeights | None:
    """The convolution that a matrix is, entry for entry; None where it is none.

    Parameters
    ----------
    matrix : CSR matrix of shape (prod(out_shape), prod(in_shape))
    in_shape, out_shape : (c, h, w)
    """
    if len(in_shape) != 3 or len(out_shape) != 3 or matrix.nnz == 0:
        return None
    matrix = sparse.csr_matrix(matrix, copy=True)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    coo = matrix.tocoo()
    o, y, x = np.unravel_index(coo.row, out_shape)
    c, source_y, source_x = np.unravel_index(coo.col, in_shape)
    for stride_h, padding_h, size_h in _windows(y, source_y, in_shape[1], out_shape[1]):
        for stride_w, padding_w, size_w in _windows(x, source_x, in_shape[2], out_shape[2]):
            kernel = np.zeros((out_shape[0], in_shape[0], size_h, size_w))
            kernel[o, c, source_y - y * stride_h + padding_h, source_x - x * stride_w + padding_w] = coo.data
            conv = ConvWeights(
                kernel,
                (in_shape[0], in_shape[1], in_shape[2]),
                (out_shape[0], out_shape[1], out_shape[2]),
                (stride_h, stride_w),
                (padding_h, padding_w),
            )
            if _equal(conv.matrix(), matrix):
                return conv
    return None


def _equal(a: sparse.csr_matrix, b: sparse.csr_matrix) -> bool:
    """The same entries; both sorted, without zeros."""
    pairs = ((a.data, b.data), (a.indices, b.indices), (a.indptr, b.indptr))
    return all(np.array_equal(left, right) for left, right in pairs)


def _windows(out: Array, source: Array, n_in: int, n_out: int) -> Iterator[tuple[int, int, int]]:
    """Stride, padding and kernel size along one axis that could be, the smallest kernel first."""
    found = []
    for stride in range(1, min(_MOST_STRIDE, max(n_in, 1)) + 1):
        offset = source - out * stride
        low, high = int(offset.min()), int(offset.max())
        for padding in range(max(0, -low), max(0, -low) + _EMPTY_EDGE):
            for size in range(high + padding + 1, high + padding + 1 + _EMPTY_EDGE):
                fits = n_in + 2 * padding >= size and (n_in + 2 * padding - size) // stride + 1 == n_out
                if fits and size >= 1:
                    found.append((size, stride, padding))
    for size, stride, padding in sorted(found)[:4]:
        yield stride, padding, size
