"""One group and one synapse in Loihi's registers at a given scale, and the error that this makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir import registers as reg
from sne_deploy.ir.program import NeuronGroup, SignMode, Synapse

Array = npt.NDArray[Any]

SAMPLED_WEIGHTS = 65536
"""Errors are measured on at most this many weights of a synapse, evenly spaced."""


def extent(values: Array) -> float:
    """The largest magnitude; 0 for nothing."""
    return float(np.max(np.abs(values))) if np.size(values) else 0.0


def sampled(values: Array) -> Array:
    """At most SAMPLED_WEIGHTS of the values, evenly spaced."""
    flat = np.asarray(values).reshape(-1)
    return flat[:: max(1, -(-flat.size // SAMPLED_WEIGHTS))]


def power(synapse: Synapse) -> float:
    """Sum of squares of a synapse's sampled weights."""
    return float(np.sum(np.square(sampled(synapse.weights.values))))


def quantise_group(group: NeuronGroup, scale: float) -> NeuronGroup:
    """Decays, threshold, bias and initial state in registers; the bias gets the smallest exponent."""
    bias = np.asarray(group.bias_mant) * scale
    bias_exp = 0
    while extent(np.rint(bias / 2**bias_exp)) > reg.BIAS_MANT_MAX and bias_exp < reg.BIAS_EXP_MAX:
        bias_exp += 1
    soft = group.vsub_mant
    vth = (
        np.maximum(np.rint(group.vth_mant * scale / 2**reg.STATE_SHIFT), 1)
        if group.spiking
        else np.asarray(0)
    )
    return replace(
        group,
        du=reg.current_decay_register(group.du),
        dv=reg.voltage_decay_register(group.dv),
        vth_mant=np.asarray(np.minimum(vth, reg.VTH_MANT_MAX), dtype=np.int32),
        bias_mant=np.asarray(
            np.clip(np.rint(bias / 2**bias_exp), reg.BIAS_MANT_MIN, reg.BIAS_MANT_MAX), dtype=np.int32
        ),
        bias_exp=bias_exp,
        v_init=np.asarray(
            np.clip(np.rint(group.v_init * scale), 1 - reg.STATE_LIMIT, reg.STATE_LIMIT - 1), dtype=np.int32
        ),
        scale=scale,
        vsub_mant=None if soft is None else np.asarray(_threshold_register(soft, scale), dtype=np.int32),
    )


def _threshold_register(value: Array, scale: float) -> Array:
    return np.asarray(np.clip(np.rint(value * scale / 2**reg.STATE_SHIFT), 0, reg.VTH_MANT_MAX))


def _exponent_choices(synapse: Synapse, scale: float) -> tuple[int, ...]:
    """The smallest exponent that holds every weight, and the one below it, which clips the largest."""
    low, high, _ = reg.WEIGHT_RANGES[reg.sign_mode_of(np.asarray(synapse.weights.values))]
    limit = max(-low, high) if low == 0 or high == 0 else high
    needed = extent(synapse.weights.values) * scale / 2**reg.STATE_SHIFT / limit
    exponent = int(np.clip(np.ceil(np.log2(needed)) if needed > 0 else 0, 0, reg.WEIGHT_EXP_MAX))
    return (exponent, exponent - 1) if exponent > 0 else (exponent,)


def synapse_error(synapse: Synapse, scale: float) -> float:
    """Sum of squared differences between a synapse's sampled weights and their registers."""
    few = sampled(synapse.weights.values)
    mode = reg.sign_mode_of(np.asarray(synapse.weights.values))
    return min(_squared_error(few, scale, exponent, mode) for exponent in _exponent_choices(synapse, scale))


def _squared_error(values: Array, scale: float, exponent: int, mode: SignMode) -> float:
    lsb = 2.0 ** (reg.STATE_SHIFT + exponent) / scale
    integers, _ = reg.quantise_weights(values, lsb, mode)
    return float(np.sum(np.square(values - integers * lsb)))


def quantise_synapse(synapse: Synapse, scale: float) -> Synapse:
    """Weights as stored integers, with the exponent that errs less, and what was lost."""
    values = np.asarray(synapse.weights.values)
    mode = reg.sign_mode_of(values)
    few = sampled(values)
    exponent = min(_exponent_choices(synapse, scale), key=lambda e: _squared_error(few, scale, e, mode))
    lsb = 2.0 ** (reg.STATE_SHIFT + exponent) / scale
    integers, saturated = reg.quantise_weights(values, lsb, mode)
    signal, noise = float(np.sum(np.square(values))), float(np.sum(np.square(values - integers * lsb)))
    snr_db = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else (0.0 if signal > 0 else np.inf)
    return replace(
        synapse,
        weights=synapse.weights.with_values(integers),
        weight_exp=exponent,
        sign_mode=mode,
        saturated_weights=saturated,
        quantisation_snr_db=float(np.inf if noise == 0 else snr_db),
    )
