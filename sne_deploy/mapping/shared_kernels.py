"""Which cores share a convolution's kernel, and for which of its output channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.weights import ConvWeights

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Shared:
    """The output channels that positions have on cores.

    Positions whose channels are on the same cores are of one kind; an entry is a kind and one of its cores.

    Attributes
    ----------
    kind : int64 array of shape (positions,)
    entry_kind, core : int64 arrays of shape (entries,)
        By kind, then by core.
    channels : int64 array of shape (entries, groups)
        How many output channels of each of the convolution's groups.
    first : bool array of shape (entries,)
        Whether no entry before it has the same channels on the same core: then it has its own kernel.
    cores : int
    """

    kind: Array
    entry_kind: Array
    core: Array
    channels: Array
    first: Array
    cores: int

    @staticmethod
    def of(conv: ConvWeights, core_of: Array, cores: int) -> Shared:
        """The entries of a convolution whose outputs are on these cores."""
        c_out = conv.out_shape[0]
        columns = np.ascontiguousarray(core_of.reshape(c_out, -1).T)
        kinds, kind = np.unique(columns, axis=0, return_inverse=True)
        keys = np.arange(len(kinds))[:, None] * cores + kinds
        entries, entry_of = np.unique(keys, return_inverse=True)
        held = np.zeros((len(entries), c_out), np.bool_)
        held[entry_of.reshape(kinds.shape), np.arange(c_out)] = True
        entry_kind, core = np.divmod(entries, cores)
        sets = np.concatenate(
            [core[:, None].view(np.uint8).reshape(len(core), -1), np.packbits(held, axis=1)], 1
        )
        first = np.zeros(len(entries), np.bool_)
        first[np.unique(sets, axis=0, return_index=True)[1]] = True
        channels = held.reshape(len(entries), conv.groups, -1).sum(axis=2)
        return Shared(kind.reshape(-1), entry_kind, core, channels, first, cores)

    def read(self, conv: ConvWeights, words: Array, keys: Array) -> Array:
        """Words that spikes read: the sum over the output positions that they feed of an entry's words.

        Parameters
        ----------
        conv : ConvWeights
        words : int64 array of shape (entries,)
        keys : int64 array of shape (K,)
            Input position times ``cores`` plus core.

        Returns
        -------
        int64 array of shape (K,)
        """
        shape = (int(self.entry_kind[-1]) + 1, self.cores)
        by_kind = sparse.csr_matrix((words, (self.entry_kind, self.core)), shape)
        places = len(self.kind)
        kind = sparse.csr_matrix(
            (np.ones(places, np.int64), self.kind, np.arange(places + 1)), (places, shape[0])
        )
        rows, columns = (_feeds(conv, axis) for axis in (0, 1))
        read = sparse.csr_matrix(sparse.kron(rows, columns, "csr") @ kind @ by_kind)
        read.sort_indices()
        position = np.repeat(np.arange(read.shape[0], dtype=np.int64), np.diff(read.indptr))
        return np.asarray(read.data[np.searchsorted(position * self.cores + read.indices, keys)])


def _feeds(conv: ConvWeights, axis: int) -> sparse.csr_matrix:
    """Along an axis, whether an output position reads an input position: CSR of shape (inputs, outputs)."""
    _, positions, sources = conv.reads(axis)
    size = (conv.in_shape[1 + axis], conv.out_shape[1 + axis])
    return sparse.csr_matrix((np.ones(len(positions), np.int64), (sources, positions)), size)
