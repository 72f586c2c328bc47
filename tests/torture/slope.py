"""Does a series grow? A robust slope with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Growth:
    """Of a series over hours.

    Attributes
    ----------
    per_hour, low, high : float
        Theil and Sen's slope, the median of those of all pairs, and its interval of 95 % by Kendall's test.
    """

    per_hour: float
    low: float
    high: float


def growth(hours: list[float], values: list[float]) -> Growth:
    """The slope of at least three values."""
    found = stats.theilslopes(np.asarray(values, np.float64), np.asarray(hours), alpha=0.95)
    return Growth(*(float(part) for part in (found.slope, found.low_slope, found.high_slope)))
