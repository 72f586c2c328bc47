"""The slope of a leak is found under noise and outliers; where nothing leaks, its interval has the zero."""

from __future__ import annotations

import numpy as np
import pytest

from tests.torture.slope import growth


@pytest.mark.parametrize("leak", [0.0, 40.0])
def test_slope_under_noise_and_outliers(leak):
    rng = np.random.default_rng(0)
    hours = np.linspace(0, 2, 200)
    values = 900 + leak * hours + rng.normal(0, 5, 200)
    values[::20] += 500
    found = growth(list(hours), list(values))
    assert found.low <= leak <= found.high
    assert (found.low > 0) == (leak > 0)
    assert found.high - found.low < 5


def test_what_stays_the_same_has_no_slope():
    found = growth([0.0, 1.0, 2.0, 3.0], [7.0] * 4)
    assert (found.per_hour, found.low, found.high) == (0.0, 0.0, 0.0)
