"""Rounding to registers: pure arithmetic, for whatever formats it is given.

Sources: Lava 0.10.0, ``lava/proc/lif/models.py`` (decays, shifts) and ``lava/utils/weightutils.py``
(weights).
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


def quantise_weights(values: Array, lsb: float, to: WeightRange) -> tuple[Array, int]:
    """Round weights to the nearest stored integer: ``w_q = clip(step * rint(w / (step * lsb)))``.

    Parameters
    ----------
    values : float array
    lsb : float
        What one integer unit stands for.
    to : WeightRange

    Returns
    -------
    integers : int32 array of the same shape
    saturated : int
        How many were clipped by more than the rounding.
    """
    unclipped = to.step * np.rint(values / (to.step * lsb))
    clipped = np.clip(unclipped, to.low, to.high)
    return clipped.astype(np.int32), int(np.count_nonzero(clipped != unclipped))


def current_decay_register(fraction: Array, formats: RegisterFormats) -> Array:
    """``du`` for a decay fraction b: effective decay is (du + 1) / 2^decay_bits."""
    unity = formats.decay_unity
    return np.asarray(np.clip(np.rint(fraction * unity) - 1, 0, formats.decay_max), dtype=np.int32)


def voltage_decay_register(fraction: Array, formats: RegisterFormats) -> Array:
    """``dv`` for a decay fraction a: effective decay is dv / 2^decay_bits."""
    return np.asarray(np.clip(np.rint(fraction * formats.decay_unity), 0, formats.decay_max), dtype=np.int32)


def decay(state: Array, factor: Array, decay_bits: int) -> Array:
    """``sign(x) (|x| factor >> decay_bits)``, rounding toward zero (int64)."""
    return np.asarray(np.sign(state) * ((np.abs(state) * factor) >> decay_bits))
