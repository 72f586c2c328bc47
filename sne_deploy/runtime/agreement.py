"""How alike two recordings of spikes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import DataError

Array = npt.NDArray[Any]

ENOUGH, LEAST = 0.1, 10


@dataclass(frozen=True, eq=False)
class SpikeComparison:
    """Spikes of a layer as run (A) and in the floating-point reference (B), aligned in time.

    Attributes
    ----------
    both_of, either_of, reference_of : int64 arrays of shape (n,)
        |A and B|, |A or B| and |B| of each neuron.
    samples : int
        Samples that were compared.
    """

    both_of: Array
    either_of: Array
    reference_of: Array
    samples: int

    @property
    def agreement(self) -> float:
        """|A and B| / |A or B|, the Jaccard index; 1.0 where neither has a spike."""
        either = int(self.either_of.sum())
        return 1.0 if either == 0 else int(self.both_of.sum()) / either

    @property
    def reference(self) -> int:
        """|B|."""
        return int(self.reference_of.sum())

    @property
    def differing(self) -> int:
        """Spikes that only one of them has."""
        return int(self.either_of.sum() - self.both_of.sum())

    @property
    def worst_neuron(self) -> tuple[int, float] | None:
        """The neuron that agrees least, and its agreement, of those with enough spikes to tell.

        These have, in A or B, at least LEAST spikes and ENOUGH of the layer's mean; None where none has.
        """
        told = self.either_of >= max(LEAST, ENOUGH * self.either_of.mean())
        if not bool(told.any()):
            return None
        agreement = np.where(told, self.both_of / np.maximum(self.either_of, 1), np.inf)
        index = int(np.argmin(agreement))
        return index, float(agreement[index])

    def __add__(self, other: SpikeComparison) -> SpikeComparison:
        return SpikeComparison(
            self.both_of + other.both_of,
            self.either_of + other.either_of,
            self.reference_of + other.reference_of,
            self.samples + other.samples,
        )


LayerComparisons = Mapping[str, Mapping[str, SpikeComparison]]
"""Student name to layer name to the comparison of its floating-point and fixed-point spikes."""


def compare_spikes(a: Array, b: Array) -> SpikeComparison:
    """Compare two recordings, aligned in time.

    Parameters
    ----------
    a, b : bool arrays of one shape, such as (N, T, *shape)

    Raises
    ------
    DataError
        Another dtype, or shapes that differ.
    """
    for name, array in (("first", a), ("second", b)):
        if array.dtype != np.bool_:
            raise DataError(f"spike agreement: the {name} recording is {array.dtype}, not bool; pass spikes")
    if a.shape != b.shape:
        raise DataError(
            f"spike agreement: shapes {a.shape} and {b.shape} differ; record the same samples and layer"
        )
    both, ours, theirs = (_of_neurons(spikes) for spikes in (a & b, a, b))
    return SpikeComparison(both, ours + theirs - both, theirs, len(a))


def _of_neurons(spikes: Array) -> Array:
    """Spikes of each neuron: int64 of shape (n,). A sample's are added in the narrowest integers."""
    steps = spikes.shape[1]
    per_sample = spikes.view(np.uint8).sum(axis=1, dtype=np.min_scalar_type(steps))
    return np.asarray(per_sample.reshape(len(spikes), -1).sum(axis=0, dtype=np.int64))
