"""How alike two recordings of spikes are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import DataError


def spike_agreement(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """|A and B| / |A or B| of two spike recordings, aligned in time (the Jaccard index).

    Parameters
    ----------
    a, b : bool arrays of one shape, such as (N, T, *shape)

    Returns
    -------
    float
        In [0, 1]; 1.0 where neither has a spike.

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
    union = int(np.count_nonzero(a | b))
    return 1.0 if union == 0 else int(np.count_nonzero(a & b)) / union
