"""Rounding to registers: pure arithmetic, for whatever formats it is given.

Sources: Lava 0.10.0, ``lava/utils/weightutils.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats, SignMode, WeightRange

Array = npt.NDArray[Any]


def sign_mode_of(values: Array, formats: RegisterFormats) -> SignMode:
    """The sign mode that stores these weights most finely."""
    if formats.stored_range("excitatory") and _all(values, values >= 0):
        return "excitatory"
    if formats.stored_range("inhibitory") and _all(values, values <= 0):
        return "inhibitory"
    return "mixed"


def _all(values: Array, of_one_sign: Array) -> bool:
    return bool(np.all(of_one_sign)) and bool(np.any(values))


def round_weights(values: Array, lsb: float | Array, to: WeightRange) -> tuple[Array, Array]:
    """As :func:`quantise_weights`, in floating point: before and after clipping."""
    unclipped = np.rint(values / (to.step * lsb))
    unclipped *= to.step
    return unclipped, np.clip(unclipped, to.low, to.high)


def quantise_weights(values: Array, lsb: float | Array, to: WeightRange) -> tuple[Array, int]:
    """Round weights to the nearest stored integer: ``w_q = clip(step * rint(w / (step * lsb)))``.

    Parameters
    ----------
    values : float array
    lsb : float, or float array that broadcasts over the values
        What one integer unit stands for.
    to : WeightRange

    Returns
    -------
    integers : int32 array of the same shape
    saturated : int
        How many were clipped by more than the rounding.
    """
    unclipped, clipped = round_weights(values, lsb, to)
    return clipped.astype(np.int32), int(np.count_nonzero(clipped != unclipped))
