"""Programs of one group in floating point, to be quantised."""

from __future__ import annotations

from typing import cast

import nir
import numpy as np

from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights


def float_group(kind: str, n: int, **changes: object) -> NeuronGroup:
    """A floating-point group."""
    values = {
        "du": np.asarray(0.2 if kind.startswith("cuba") else 1.0),
        "dv": np.asarray(0.1),
        "vth_mant": np.asarray(1.0),
        "bias_mant": np.asarray(0.0),
        "v_init": np.asarray(0.0),
        "v_reset": np.asarray(0.0),
        **changes,
    }
    return NeuronGroup("g", kind, (n,), bias_exp=0, depth=1, scale=1.0, **values)  # type: ignore[arg-type]


def float_program(weights: np.ndarray, kind: str = "lif", timesteps: int = 16, **changes: object) -> Program:
    """Input spikes into one group."""
    target = float_group(kind, weights.shape[0], **changes)
    return Program(
        name="tiny",
        precision="float",
        timesteps=timesteps,
        input=ProgramInput("input", (weights.shape[1],), "spikes"),
        groups=(target,),
        synapses=(Synapse("fc", "input", "g", DenseWeights(weights)),),
        outputs=("g",),
        readout="count" if target.spiking else "v_last",
        hosts=(),
        graph=cast(nir.NIRGraph, None),
        dt_s=0.001,
    )
