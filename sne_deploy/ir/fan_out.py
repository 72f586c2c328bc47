"""How many synapses a spike of each input of a synapse reaches."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.weights import ConvWeights, DenseWeights, Weights

Array = npt.NDArray[Any]
_COUNTED: WeakKeyDictionary[Weights, Array] = WeakKeyDictionary()


def fan_out(weights: Weights) -> Array:
    """Synapses of each input, int64 of shape (n_in,): the non-zeros in each column of the matrix.

    A convolution's are counted from its kernel, without the matrix. Counted once, and kept.
    """
    found = _COUNTED.get(weights)
    if found is None:
        found = _COUNTED[weights] = _counted(weights)
        found.flags.writeable = False
    return found


def _counted(weights: Weights) -> Array:
    if isinstance(weights, DenseWeights):
        return np.asarray(np.count_nonzero(weights.array, axis=0), dtype=np.int64)
    if isinstance(weights, ConvWeights):
        return _of_convolution(weights)
    existing = weights.csr.indices[weights.csr.data != 0]
    return np.bincount(existing, minlength=weights.shape[1]).astype(np.int64)


def _of_convolution(conv: ConvWeights) -> Array:
    """Over all taps: the output channels that a tap feeds, times the positions that read the input by it."""
    c_out, per_group, k_h, k_w = conv.kernel.shape
    taps = (conv.kernel != 0).reshape(conv.groups, c_out // conv.groups, per_group, k_h, k_w)
    channels = taps.sum(axis=1).reshape(-1, k_h, k_w)
    counts = np.einsum("cij,iy,jx->cyx", channels, _read(conv, 0), _read(conv, 1), optimize=True)
    return np.asarray(counts.reshape(-1), dtype=np.int64)


def _read(conv: ConvWeights, axis: int) -> Array:
    """Whether some output position reads an input position by a tap: int64 of shape (taps, inputs)."""
    taps, _, sources = conv.reads(axis)
    read = np.zeros((conv.kernel.shape[2 + axis], conv.in_shape[1 + axis]), dtype=np.int64)
    read[taps, sources] = 1
    return read
