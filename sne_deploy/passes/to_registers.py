"""A neuron group in registers at a given scale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.ir.program import NeuronGroup
from sne_deploy.ir.registers import current_decay_register, voltage_decay_register
from sne_deploy.passes.weight_registers import extent

Array = npt.NDArray[Any]


def quantise_group(group: NeuronGroup, scale: float, formats: RegisterFormats) -> NeuronGroup:
    """Decays, threshold, bias and initial state in registers; the bias gets the smallest exponent it may."""
    bias = np.asarray(group.bias_mant) * scale
    bias_exp = formats.bias_exp_min if np.any(bias) else 0
    while extent(np.rint(bias / 2**bias_exp)) > formats.bias_mant_max and bias_exp < formats.bias_exp_max:
        bias_exp += 1
    soft = group.vsub_mant
    vth = (
        np.maximum(np.rint(group.vth_mant * scale / 2**formats.state_shift), 1)
        if group.spiking
        else np.asarray(0)
    )
    return replace(
        group,
        du=current_decay_register(group.du, formats),
        dv=voltage_decay_register(group.dv, formats),
        vth_mant=np.asarray(np.minimum(vth, formats.vth_mant_max), dtype=np.int32),
        bias_mant=np.asarray(
            np.clip(np.rint(bias / 2**bias_exp), formats.bias_mant_min, formats.bias_mant_max), dtype=np.int32
        ),
        bias_exp=bias_exp,
        v_init=np.asarray(
            np.clip(np.rint(group.v_init * scale), 1 - formats.state_limit, formats.state_limit - 1),
            dtype=np.int32,
        ),
        scale=scale,
        vsub_mant=None
        if soft is None
        else np.asarray(_threshold_register(soft, scale, formats), dtype=np.int32),
    )


def _threshold_register(value: Array, scale: float, formats: RegisterFormats) -> Array:
    return np.asarray(np.clip(np.rint(value * scale / 2**formats.state_shift), 0, formats.vth_mant_max))
