"""How alike two recordings of spikes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import DataError


@dataclass(frozen=True)
class SpikeComparison:
    """Spikes of a layer as run (A) and in the floating-point reference (B), aligned in time.

    Attributes
    ----------
    both, either : int
        |A and B| and |A or B|.
    reference : int
        |B|.
    samples : int
        Samples that were compared.
    """

    both: int
    either: int
    reference: int
    samples: int

    @property
    def agreement(self) -> float:
        """|A and B| / |A or B|, the Jaccard index; 1.0 where neither has a spike."""
        return 1.0 if self.either == 0 else self.both / self.either

    @property
    def differing(self) -> int:
        """Spikes that only one of them has."""
        return self.either - self.both

    def __add__(self, other: SpikeComparison) -> SpikeComparison:
        return SpikeComparison(
            self.both + other.both,
            self.either + other.either,
            self.reference + other.reference,
            self.samples + other.samples,
        )


LayerComparisons = Mapping[str, Mapping[str, SpikeComparison]]
"""Student name to layer name to the comparison of its floating-point and fixed-point spikes."""


def compare_spikes(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> SpikeComparison:
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
    either, reference = int(np.count_nonzero(a | b)), int(np.count_nonzero(b))
    return SpikeComparison(int(np.count_nonzero(a & b)), either, reference, len(a))
