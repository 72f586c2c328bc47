"""A neuron group in Loihi's registers at a given scale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir import registers as reg
from sne_deploy.ir.program import NeuronGroup
from sne_deploy.passes.weight_registers import extent

Array = npt.NDArray[Any]


def quantise_group(group: NeuronGroup, scale: float, form: reg.RegisterFormat) -> NeuronGroup:
    """Decays, threshold, bias and initial state in registers; the bias gets the smallest exponent it may."""
    bias = np.asarray(group.bias_mant) * scale
    bias_exp = 0 if form.bias_exp is None or not np.any(bias) else form.bias_exp
    while extent(np.rint(bias / 2**bias_exp)) > reg.BIAS_MANT_MAX and bias_exp < _bias_exp_max(form):
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


def _bias_exp_max(form: reg.RegisterFormat) -> int:
    return reg.BIAS_EXP_MAX if form.bias_exp is None else form.bias_exp


def _threshold_register(value: Array, scale: float) -> Array:
    return np.asarray(np.clip(np.rint(value * scale / 2**reg.STATE_SHIFT), 0, reg.VTH_MANT_MAX))
