"""Thresholds that are worth a try."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LOWEST = 1e-3
"""The lowest threshold."""


def thresholds(values: Array, count: int) -> tuple[float, ...]:
    """Thresholds at evenly spaced ranks of the values in [0, 1], rounded down, and 1; rising.

    Rounded so that 1 less the threshold has three digits: confidences crowd below 1.
    """
    ranks = np.linspace(0, len(values) - 1, max(count - 1, 1)).astype(np.int64)
    return tuple(sorted({1.0, *map(_rounded_down, np.sort(values)[ranks])}))


def _rounded_down(value: float) -> float:
    gap = 1.0 - float(value)
    if gap <= 0:
        return 1.0
    digits = 2 - math.floor(math.log10(gap))
    return max(LOWEST, round(1.0 - math.ceil(gap * 10.0**digits) / 10.0**digits, digits))
