"""Which cores a spike of each source reaches, and by how many synapses: all that counts and limits need.

Of no weights is the whole matrix made: 100 million synapses take seconds and little memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights

Array = npt.NDArray[Any]
Entries = tuple[Array, Array, Array]
"""Source neuron, core, synapses; a pair of the first two may come again."""

BLOCK = 2**22
"""Entries that are worked on at once."""


def reach(weights: Weights, core_of: Array, cores: int) -> sparse.csr_matrix:
    """Existing synapses of each source neuron on each core.

    A spike of source i is as many SynOps as its row sums to, and one message to each core that has an entry.

    Parameters
    ----------
    weights : Weights
        Of shape (n_out, n_in).
    core_of : int array of shape (n_out,)
        The core that holds each target neuron.
    cores : int

    Returns
    -------
    CSR matrix of shape (n_in, cores), int64
    """
    parts: Iterator[Entries]
    if isinstance(weights, ConvWeights):
        parts = _of_convolution(weights, core_of, cores)
    elif isinstance(weights, DenseWeights):
        parts = _of_dense(weights.array, core_of)
    else:
        parts = _of_sparse(weights, core_of, cores)
    empty = np.zeros(0, np.int32)  # 32 bits hold any source, core and number of synapses
    small = (tuple(array.astype(np.int32, copy=False) for array in part) for part in parts)
    columns = list(zip((empty, empty, empty), *small, strict=True))
    source, core, synapses = (np.concatenate(columns.pop(0)) for _ in range(3))  # each goes as it is joined
    found = sparse.csr_matrix((synapses, (source, core)), (weights.shape[1], cores))
    found.sort_indices()
    found.data = found.data.astype(np.int64)
    return found


def _of_dense(array: Array, core_of: Array) -> Iterator[Entries]:
    """Core by core, the rows of its neurons."""
    order = np.argsort(core_of, kind="stable")
    held, first = np.unique(core_of[order], return_index=True)
    rows = max(1, BLOCK // max(1, array.shape[1]))
    for core, start, end in zip(held, first, np.append(first[1:], len(order)), strict=True):
        synapses = sum(
            np.count_nonzero(array[order[at : min(at + rows, end)]], axis=0) for at in range(start, end, rows)
        )
        source = np.flatnonzero(synapses)
        yield source.astype(np.int32), np.full(len(source), core, np.int32), np.asarray(synapses)[source]


def _of_sparse(weights: SparseWeights, core_of: Array, cores: int) -> Iterator[Entries]:
    """Blocks of rows: what is in a core's rows is added up."""
    csr, n_in = weights.csr, weights.shape[1]
    start = 0
    while start < len(core_of):
        end = int(np.searchsorted(csr.indptr, csr.indptr[start] + BLOCK, side="right")) - 1
        end = min(max(end, start + 1), len(core_of))
        first, last = csr.indptr[start], csr.indptr[end]
        existing = (csr.data[first:last] != 0).astype(np.int64)
        block = sparse.csr_matrix(
            (existing, csr.indices[first:last], csr.indptr[start : end + 1] - first), (end - start, n_in)
        )
        held = (np.ones(end - start, np.int64), (core_of[start:end], np.arange(end - start)))
        found = (sparse.csr_matrix(held, (cores, end - start)) @ block).tocoo()
        kept = found.data > 0
        yield found.col[kept], found.row[kept], found.data[kept]
        start = end


def _of_convolution(weights: ConvWeights, core_of: Array, cores: int) -> Iterator[Entries]:
    """Channels whose neurons are on the same cores at every position are added up first.

    For each such set of channels: existing weights by input channel and tap, times the output positions of
    each core that each tap of each input position ends at.
    """
    c_out, _, k_h, k_w = weights.kernel.shape
    c_in, height, width = weights.in_shape
    patterns, which = np.unique(core_of.reshape(c_out, -1), axis=0, return_inverse=True)
    existing = (weights.kernel != 0).reshape(weights.groups, c_out // weights.groups, -1)
    which = which.reshape(weights.groups, -1)
    (i, y, source_y), (j, x, source_x) = (weights.reads(axis) for axis in (0, 1))
    tap = (i[:, None] * k_w + j).reshape(-1)
    target = (y[:, None] * weights.out_shape[2] + x).reshape(-1)
    position = (source_y[:, None].astype(np.int64) * width + source_x).reshape(-1)
    for index, pattern in enumerate(patterns):
        held = np.einsum("go,gok->gk", which == index, existing.astype(np.int64))
        by_tap = held.reshape(c_in, k_h * k_w)
        pairs, pair = np.unique(position * cores + pattern[target], return_inverse=True)
        once = (np.ones(len(tap), np.int64), (tap, pair.reshape(-1)))
        ends, step = sparse.csr_matrix(once, (k_h * k_w, len(pairs))), max(1, BLOCK // max(1, len(pairs)))
        for start in range(0, c_in, step):
            synapses = np.asarray(by_tap[start : start + step] @ ends)
            channel, at = np.nonzero(synapses)
            source = (channel + start) * (height * width) + pairs[at] // cores
            yield source, pairs[at] % cores, synapses[channel, at]
