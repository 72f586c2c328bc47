"""Programs small enough to write down."""

from __future__ import annotations

import numpy as np

from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights
from tests.chip_registers import LOIHI1


def one_layer(weights: list[list[int]], mode: str) -> Program:
    """Input spikes into one group."""
    values = {"du": 4095, "dv": 0, "vth_mant": 100, "bias_mant": 0, "v_init": 0}
    registers = {name: np.asarray(value, np.int32) for name, value in values.items()}
    group = NeuronGroup(
        "g", "lif", (len(weights),), bias_exp=0, depth=1, scale=1.0, v_reset=np.asarray(0.0), **registers
    )
    synapse = Synapse("s", "input", "g", DenseWeights(np.asarray(weights, np.int32)), 0, mode)
    entry = ProgramInput("input", (len(weights[0]),), "spikes")
    return Program(
        "tiny", "fixed", 4, entry, (group,), (synapse,), ("g",), "count", (), None, 1e-3, formats=LOIHI1
    )
