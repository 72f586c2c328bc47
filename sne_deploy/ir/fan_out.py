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
    c_out, per_group, k_h, k_w = conv.kernel.shape
    taps = (conv.kernel != 0).reshape(conv.groups, c_out // conv.groups, per_group, k_h, k_w)
    senders = taps.sum(axis=1).reshape(
        -1, k_h, k_w
    )  # output channels that each tap of an input channel feeds
    counts = np.zeros(conv.in_shape, dtype=np.int64)
    for i in range(k_h):
        rows = _reached(conv, 0, i)
        for j in range(k_w):
            columns = _reached(conv, 1, j)
            counts[:, rows[:, None], columns[None, :]] += senders[:, i, j, None, None]
    return np.asarray(counts.reshape(-1))


def _reached(conv: ConvWeights, axis: int, tap: int) -> Array:
    """Input positions that a tap reads at each output position, those inside the border; all different."""
    positions = np.arange(conv.out_shape[1 + axis]) * conv.stride[axis]
    positions = positions - conv.padding[axis] + tap * conv.dilation[axis]
    inside = (positions >= 0) & (positions < conv.in_shape[1 + axis])
    return np.asarray(positions[inside])
