"""The part of a group's shape that each core holds, where it is a box: consecutive along every axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.weights import ConvWeights

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Boxes:
    """Smallest box around each core's neurons.

    Attributes
    ----------
    held : int64 array of shape (cores,)
        Neurons on each core.
    low, high : int64 array of shape (cores, axes)
        First and last index along each axis; high is below low where the core holds none.
    """

    held: Array
    low: Array
    high: Array

    @property
    def extents(self) -> Array:
        """Length along each axis, of shape (cores, axes)."""
        return np.asarray(np.maximum(self.high - self.low + 1, 0))

    @property
    def full(self) -> Array:
        """Whether the core holds its whole box: bool of shape (cores,); True where it holds nothing."""
        return np.asarray(self.extents.prod(axis=1) == self.held)


def boxes_of(core_of: Array, shape: Sequence[int], cores: int) -> Boxes:
    """The boxes of a group whose neurons, in C order of ``shape``, are on these cores."""
    low = np.full((cores, len(shape)), max(shape, default=1), np.int64)
    high = np.full((cores, len(shape)), -1, np.int64)
    by_axes = np.reshape(core_of, shape)
    for axis, length in enumerate(shape):
        here = np.zeros((length, cores), np.bool_)
        for index in range(length):
            here[index, by_axes.take(index, axis=axis).reshape(-1)] = True
        some = here.any(axis=0)
        low[some, axis] = here.argmax(axis=0)[some]
        high[some, axis] = length - 1 - here[::-1].argmax(axis=0)[some]
    return Boxes(np.bincount(core_of, minlength=cores), low, high)


def positions_reading(conv: ConvWeights, axis: int) -> sparse.csr_matrix:
    """Along an axis, the taps by which each output position reads each input position.

    Returns
    -------
    CSR matrix of shape (inputs, outputs), int64
    """
    _, positions, sources = conv.reads(axis)
    size = (conv.in_shape[1 + axis], conv.out_shape[1 + axis])
    return sparse.csr_matrix((np.ones(len(positions), np.int64), (sources, positions)), size)
