"""Scales at which weights that are integers already, times a step, stay exactly these integers.

Networks trained on a chip's own integers have weights ``k q`` with small integers k. Where a synapse's
weights are such, to within TOLERANCE of each (float32 rounds to 6e-8), the scales ``2^s n / q`` store them
without an error: n is what a step of the weights becomes in stored units. Other networks are told in
microseconds: their smallest weight is not a whole part of the others.

One such scale is more than exact: the one at which the network was trained, whose states are rounded as they
were in training. It can be told where the decays are registers, and the constants are whole numbers of stored
units (2^s units of v: a file of registers), or of 1 / 2^s of them (2^2s units of v: lava-dl's own scale).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats, WeightRange
from sne_deploy.ir.program import NeuronGroup

Array = npt.NDArray[Any]

TOLERANCE = 1e-6
"""Relative: below it a difference from an integer is what floating point made."""
_FEW = 64
_ODD_MAX = 15
_ROUND_DECAYS = 64
"""Decays that are multiples of this many registers are round fractions, which any network may have."""


def step_of(values: Array, most: int) -> float | None:
    """The largest q such that all values are ``k q`` with integers up to ``most``; None: there is none."""
    magnitudes = np.abs(values)
    magnitudes = magnitudes[magnitudes > 0]
    if not magnitudes.size:
        return None
    least = float(magnitudes.min())
    ratio = magnitudes / least
    parts = np.arange(1, int(most / ratio.max() * (1 + TOLERANCE)) + 1)
    few = ratio[:: max(1, -(-ratio.size // _FEW))]
    for part in parts[_whole(parts[:, None] * few).all(axis=1)]:
        integers = np.rint(ratio * part)
        q = float(integers @ magnitudes) / float(integers @ integers)
        if bool(_whole(magnitudes / q).all()):
            return q
    return None


def exact_scales(values: Array, to: WeightRange, formats: RegisterFormats) -> tuple[float, ...]:
    """The scales at which a synapse's weights are stored without an error, as far as its range has them."""
    two = formats.synapses_per_weight > 1
    limit = max(-to.low, to.high) * (2**formats.weight_bits if two else 1)
    q = step_of(values, limit // to.step)
    if q is None:
        return ()
    largest = round(float(np.max(np.abs(values))) / q)
    odd = np.arange(
        1, min(_ODD_MAX, max(-to.low, to.high, limit if two else 0) // (to.step * largest)) + 1, 2
    )
    exponents = np.arange(formats.weight_shift_min, formats.weight_exp_max + 1)
    stored = to.step * np.outer(odd, 2.0**exponents).reshape(-1)
    return tuple(float(scale) for scale in stored * 2.0**formats.state_shift / q)


def native_scales(group: NeuronGroup, formats: RegisterFormats) -> tuple[float, ...]:
    """The scales at which a network of these decays may have been trained; see the module's text."""
    unity = formats.decay_unity
    decays = np.concatenate([np.atleast_1d(group.du), np.atleast_1d(group.dv)]) * unity
    whole = np.rint(decays)
    if not bool(np.all(np.abs(decays - whole) <= TOLERANCE * unity)):
        return ()
    told = bool(np.any(whole % _ROUND_DECAYS))
    unit = 2.0**formats.state_shift
    return (unit, unit**2) if told else (unit**2,)


def whole_registers(group: NeuronGroup, scale: float, formats: RegisterFormats) -> bool:
    """Whether threshold, soft reset, bias and start of a group are whole registers at a scale."""
    unit = scale / 2**formats.state_shift
    thresholds = [group.vth_mant] if group.spiking else []
    thresholds += [] if group.vsub_mant is None else [group.vsub_mant]
    values = [*(np.asarray(each) * unit for each in thresholds)]
    values += [np.asarray(group.bias_mant) * scale, np.asarray(group.v_init) * scale]
    return all(bool(np.all(_whole(value))) for value in values)


def _whole(values: Array) -> Array:
    return np.asarray(np.abs(values - np.rint(values)) <= TOLERANCE * np.abs(values))
