"""Loihi's registers as values: widths, ranges, and the rounding that goes with them.

Sources: Lava 0.10.0, ``lava/proc/lif/models.py`` (state widths, decays, shifts) and
``lava/utils/weightutils.py`` (weights); Davies et al. 2018, IEEE Micro 38(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import SignMode

Array = npt.NDArray[Any]

DECAY_UNITY = 4096
"""A decay register counts in 1/4096."""
DECAY_MAX = 4095
VTH_MANT_MAX = 131071
"""17 bit."""
BIAS_MANT_MIN, BIAS_MANT_MAX = -4096, 4095
"""12 bit and sign."""
BIAS_EXP_MAX = 7
WEIGHT_EXP_MAX = 7
STATE_SHIFT = 6
"""Synaptic input and threshold are shifted left by 6 before they meet u and v."""
STATE_LIMIT = 2**23
"""u is corrected by 2^24 outside (-2^23, 2^23]; v saturates at +-(2^23 - 1)."""
VTH_MAX = VTH_MANT_MAX << STATE_SHIFT
"""The largest threshold in v's units: 8,388,544, below v's largest value."""
DELAY_MAX = 62
"""Largest extra delay of a synapse on Loihi 2."""
WEIGHT_RANGES: dict[SignMode, tuple[int, int, int]] = {
    "mixed": (-256, 254, 2),
    "excitatory": (0, 255, 1),
    "inhibitory": (-255, 0, 1),
}
"""Smallest and largest 8-bit weight, and the step between weights, by sign mode."""


@dataclass(frozen=True)
class RegisterFormat:
    """How much of the registers quantisation may use; a target may have less than the chip.

    Attributes
    ----------
    weight_bits : int
        2 to 8, or 16: two synapses for every weight.
    weight_exp_max : int
        0..7.
    bias_exp : int or None
        The only exponent that a bias may have; None: any.
    """

    weight_bits: int = 8
    weight_exp_max: int = WEIGHT_EXP_MAX
    bias_exp: int | None = None


ALL_REGISTERS = RegisterFormat()
"""8-bit weights, and all else that the chip has."""


def sign_mode_of(values: Array) -> SignMode:
    """The sign mode that stores these weights most finely."""
    if values.size and bool(np.all(values >= 0)) and bool(np.any(values > 0)):
        return "excitatory"
    if values.size and bool(np.all(values <= 0)) and bool(np.any(values < 0)):
        return "inhibitory"
    return "mixed"


def weight_range(mode: SignMode, bits: int) -> tuple[int, int, int]:
    """Smallest and largest weight, and the step between weights, where ``bits`` of the 8 are used."""
    low, high, step = WEIGHT_RANGES[mode]
    coarse = step * 2 ** (8 - bits)
    return -(-low // coarse) * coarse, high // coarse * coarse, coarse


def quantise_weights(values: Array, lsb: float, mode: SignMode, bits: int = 8) -> tuple[Array, int]:
    """Round weights to the nearest stored integer: ``w_q = clip(step * rint(w / (step * lsb)))``.

    Parameters
    ----------
    values : float array
    lsb : float
        What one integer unit stands for.
    mode : SignMode
    bits : int
        Of the weight's 8, from 2.

    Returns
    -------
    integers : int32 array of the same shape
    saturated : int
        How many were clipped by more than the rounding.
    """
    low, high, step = weight_range(mode, bits)
    unclipped = step * np.rint(values / (step * lsb))
    clipped = np.clip(unclipped, low, high)
    return clipped.astype(np.int32), int(np.count_nonzero(clipped != unclipped))


def current_decay_register(fraction: Array) -> Array:
    """``du`` for a decay fraction b: effective decay is (du + 1) / 4096."""
    return np.asarray(np.clip(np.rint(fraction * DECAY_UNITY) - 1, 0, DECAY_MAX), dtype=np.int32)


def voltage_decay_register(fraction: Array) -> Array:
    """``dv`` for a decay fraction a: effective decay is dv / 4096."""
    return np.asarray(np.clip(np.rint(fraction * DECAY_UNITY), 0, DECAY_MAX), dtype=np.int32)


def decay(state: Array, factor: Array) -> Array:
    """``sign(x) (|x| factor >> 12)``: multiply by factor / 4096, rounding toward zero (int64)."""
    return np.asarray(np.sign(state) * ((np.abs(state) * factor) >> 12))
