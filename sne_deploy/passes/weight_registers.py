"""A synapse's weights in registers, and the error that this makes.

``weight_bits`` up to 8 are so many of the register's 8 bits. 16 are two synapses for every weight: the first
holds what 8 bits can, the second what is left, at a smaller exponent. That is twice the weight memory, and
twice the synaptic operations, all of them counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import InputError
from sne_deploy.ir import registers as reg
from sne_deploy.ir.program import SignMode, Synapse

Array = npt.NDArray[Any]

SAMPLED_WEIGHTS = 65536
"""Errors are measured on at most this many weights of a synapse, evenly spaced."""
TWO_SYNAPSES = 16
WEIGHT_BITS = (2, 3, 4, 5, 6, 7, 8, TWO_SYNAPSES)


def check_weight_bits(weight_bits: int) -> None:
    """Check the choice.

    Raises
    ------
    InputError
        Not in WEIGHT_BITS.
    """
    if weight_bits not in WEIGHT_BITS:
        raise InputError(
            f"--weight-bits {weight_bits}: a weight has 2 to 8 bits, or 16 for two synapses per weight"
        )


def extent(values: Array) -> float:
    """The largest magnitude; 0 for nothing."""
    return float(np.max(np.abs(values))) if np.size(values) else 0.0


def sampled(values: Array) -> Array:
    """At most SAMPLED_WEIGHTS of the values, evenly spaced."""
    flat = np.asarray(values).reshape(-1)
    return flat[:: max(1, -(-flat.size // SAMPLED_WEIGHTS))]


@dataclass(frozen=True, eq=False)
class WeightSample:
    """What the search for a scale needs of a synapse: looked at once, not for every scale.

    Attributes
    ----------
    values : float array of shape (n,)
        At most SAMPLED_WEIGHTS of the weights, evenly spaced.
    largest : float
        The largest magnitude of all weights.
    mode : SignMode
    power : float
        Sum of squares of ``values``.
    """

    values: Array
    largest: float
    mode: SignMode
    power: float

    @staticmethod
    def of(synapse: Synapse) -> WeightSample:
        """Sample a floating-point synapse."""
        whole = np.asarray(synapse.weights.values)
        few = sampled(whole)
        return WeightSample(few, extent(whole), reg.sign_mode_of(whole), float(np.sum(np.square(few))))

    def error(self, scale: float, form: reg.RegisterFormat) -> float:
        """Sum of squared differences between the sampled weights and their registers."""
        return _parts(self.values, self.largest, self.mode, scale, form)[-1].error


def quantise_synapse(synapse: Synapse, scale: float, form: reg.RegisterFormat) -> tuple[Synapse, ...]:
    """Weights as stored integers, with the exponents that err less, and what was lost.

    Returns
    -------
    One synapse, or two where ``weight_bits`` is 16 and 8 bits leave something: the second is named
    ``NAME.low``. Each has the signal-to-noise ratio of their sum.
    """
    values = np.asarray(synapse.weights.values)
    parts = _parts(values, extent(values), reg.sign_mode_of(values), scale, form)
    signal, noise = float(np.sum(np.square(values))), parts[-1].error
    snr_db = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else (0.0 if signal > 0 else np.inf)
    return tuple(
        replace(
            synapse,
            name=synapse.name if index == 0 else f"{synapse.name}.low",
            weights=synapse.weights.with_values(part.integers),
            weight_exp=part.exponent,
            sign_mode=part.mode,
            saturated_weights=part.saturated if part is parts[-1] else 0,
            quantisation_snr_db=float(np.inf if noise == 0 else snr_db),
        )
        for index, part in enumerate(parts)
        if index == 0 or bool(np.any(part.integers))
    )


class _Part:
    """One synapse's integers at an exponent; ``left`` is what they do not express."""

    def __init__(self, values: Array, scale: float, exponent: int, mode: SignMode, bits: int) -> None:
        lsb = 2.0 ** (reg.STATE_SHIFT + exponent) / scale
        self.exponent, self.mode = exponent, mode
        self.integers, self.saturated = reg.quantise_weights(values, lsb, mode, bits)
        self.left = values - self.integers * lsb
        self.error = float(np.sum(np.square(self.left)))


def _parts(
    values: Array, largest: float, mode: SignMode, scale: float, form: reg.RegisterFormat
) -> list[_Part]:
    bits = min(form.weight_bits, 8)
    exponents = _exponent_choices(largest, mode, scale, bits, form.weight_exp_max)
    if form.weight_bits != TWO_SYNAPSES:
        few = sampled(values)
        best = min((_Part(few, scale, e, mode, bits) for e in exponents), key=lambda part: part.error)
        return [best if few.shape == values.shape else _Part(values, scale, best.exponent, mode, bits)]
    high = _Part(values, scale, exponents[0], mode, 8)
    low_exponent = _exponent_choices(extent(high.left), "mixed", scale, 8, form.weight_exp_max)[0]
    return [high, _Part(high.left, scale, low_exponent, "mixed", 8)]


def _exponent_choices(
    largest: float, mode: SignMode, scale: float, bits: int, highest: int
) -> tuple[int, ...]:
    """The smallest exponent that holds every weight, and the one below it, which clips the largest."""
    low, high, _ = reg.weight_range(mode, bits)
    limit = max(-low, high) if low == 0 or high == 0 else high
    needed = largest * scale / 2**reg.STATE_SHIFT / limit
    exponent = int(np.clip(np.ceil(np.log2(needed)) if needed > 0 else 0, 0, highest))
    return (exponent, exponent - 1) if exponent > 0 else (exponent,)
