"""A synapse's weights in registers, and the error that this makes.

Quantisation may use fewer bits than a weight has. With two synapses per weight the first holds what a weight
can, the second what is left, at a smaller exponent. That is twice the weight memory, and twice the synaptic
operations, all of them counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats, SignMode, WeightRange
from sne_deploy.ir.blocks import blocks, flat, total
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.registers import round_weights, sign_mode_of
from sne_deploy.passes.lattice import TOLERANCE, exact_scales

Array = npt.NDArray[Any]
Block = Callable[[slice], Array]

SAMPLED_WEIGHTS = 65536
"""Errors are measured on at most this many weights of a synapse, evenly spaced."""


def extent(values: Array) -> float:
    """The largest magnitude; 0 for nothing."""
    return max(float(np.max(values)), -float(np.min(values))) if np.size(values) else 0.0


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
    def of(synapse: Synapse, formats: RegisterFormats) -> WeightSample:
        """Sample a floating-point synapse."""
        whole = np.asarray(synapse.weights.values)
        few = sampled(whole)
        mode = sign_mode_of(whole, formats)
        return WeightSample(few, extent(whole), mode, float(np.sum(np.square(few))))

    def error(self, scale: float, formats: RegisterFormats) -> float:
        """Sum of squared differences between the sampled weights and their registers."""
        return _parts(self.values, self.largest, self.mode, scale, formats)[-1].error

    def exact_scales(self, formats: RegisterFormats) -> tuple[float, ...]:
        """The scales that store integer weights without an error; none for other weights."""
        return exact_scales(self.values, formats.weight_range(self.mode), formats)

    def is_exact(self, scale: float, formats: RegisterFormats) -> bool:
        """Whether the sampled weights are stored without an error at a scale."""
        return self.error(scale, formats) <= TOLERANCE**2 * self.power


def quantise_synapse(synapse: Synapse, scale: float, formats: RegisterFormats) -> tuple[Synapse, ...]:
    """Weights as stored integers, with the exponents that err less, and what was lost.

    Returns
    -------
    One synapse, or two where the formats have two per weight and the first leaves something: the second is
    named ``NAME.low``. Each has the signal-to-noise ratio of their sum.
    """
    values = np.asarray(synapse.weights.values)
    parts = _parts(values, extent(values), sign_mode_of(values, formats), scale, formats)
    each = flat(values)
    signal, noise = total(each.size, lambda part: np.square(each[part])), parts[-1].error
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
    """One synapse's integers at an exponent, of so many weights that lie one after the other.

    ``weights`` gives some of them, and :meth:`left` what the integers do not express of these.
    """

    def __init__(
        self, like: Array, weights: Block, scale: float, exponent: int, to: WeightRange, shift: int
    ) -> None:
        self.exponent, self.mode, self.saturated = exponent, to.mode, 0
        self._weights, self._lsb = weights, 2.0 ** (shift + exponent) / scale
        self.integers = np.empty_like(like, np.int32)
        self._flat = flat(self.integers)
        for part in blocks(self._flat.size):
            unclipped, stored = round_weights(weights(part), self._lsb, to)
            self._flat[part] = stored
            self.saturated += int(np.count_nonzero(stored != unclipped))
        self.error = total(self._flat.size, lambda part: np.square(self.left(part)))

    def left(self, part: slice) -> Array:
        """What some of the integers do not express."""
        return self._weights(part) - self._flat[part] * self._lsb

    @property
    def largest_left(self) -> float:
        """The largest magnitude of what is left."""
        return max((extent(self.left(part)) for part in blocks(self._flat.size)), default=0.0)


def _parts(
    values: Array, largest: float, mode: SignMode, scale: float, formats: RegisterFormats
) -> list[_Part]:
    to, shift = formats.weight_range(mode), formats.state_shift
    values = values if values.flags.f_contiguous else np.ascontiguousarray(values)
    whole = flat(values).__getitem__
    exponents = _exponent_choices(largest, to, scale, formats)
    if formats.synapses_per_weight == 1:
        few = sampled(values)
        best = min(
            (_Part(few, few.__getitem__, scale, e, to, shift) for e in exponents), key=lambda part: part.error
        )
        if few.shape == values.shape:
            return [best]
        return [_Part(values, whole, scale, best.exponent, to, shift)]
    high, mixed = _Part(values, whole, scale, exponents[0], to, shift), formats.weight_range("mixed")
    low_exponent = _exponent_choices(high.largest_left, mixed, scale, formats)[0]
    return [high, _Part(values, high.left, scale, low_exponent, mixed, shift)]


def _exponent_choices(
    largest: float, to: WeightRange, scale: float, formats: RegisterFormats
) -> tuple[int, ...]:
    """The smallest exponent that holds every weight, and the one below it, which clips the largest."""
    least, most = formats.weight_shift_min, formats.weight_exp_max
    needed = largest * scale / 2**formats.state_shift / to.limit
    exponent = int(np.clip(np.ceil(np.log2(needed)) if needed > 0 else least, least, most))
    return (exponent, exponent - 1) if exponent > least else (exponent,)
