"""Leaky integrate-and-fire behind a synaptic current that decays exponentially.

::

    NIR        CubaLIF: tau_syn dI/dt = w_in x - I; tau_mem dv/dt = v_leak - v + r I; spike as LIF
    Norse      LIFCell: i <- i + x, v as below, i <- (1 - b) i; LIFRecurrentCell: W_rec z joins x
    step       I <- I + b (w_in x - I); v <- v + a (v_leak - v + r I), with the new I
    registers  u = a r I: du = rint(4096 b) - 1, dv = rint(4096 a)
"""

from __future__ import annotations

from typing import Any

from sne_deploy.neurons import leaky
from sne_deploy.neurons.model import CellType, NeuronModel, NodeType, Values

_TENSORS = {"tau_syn_inv": "tau_syn", "tau_mem_inv": "tau_mem", "v_leak": "v_leak", **leaky.FIRES}


def _discretise(name: str, node: Any, dt_s: float) -> Values:
    values = leaky.membrane_with_current(name, node, dt_s)
    return {**values, **leaky.firing(name, node, values["a"])}


NODE = NodeType(
    name="CubaLIF",
    fields=("tau_syn", "tau_mem", "r", "v_leak", "w_in", "v_threshold", "v_reset"),
    discretise=_discretise,
    gain=leaky.CURRENT_GAIN,
)
MODEL = NeuronModel(
    name="cuba_lif",
    nodes=(NODE,),
    cells=(
        CellType("LIFCell", "CubaLIF", _TENSORS, "LIFParameters", "LIFFeedForwardState", layer="LIF"),
        CellType(
            "LIFRecurrentCell",
            "CubaLIF",
            _TENSORS,
            "LIFParameters",
            "LIFState",
            "LIFRecurrent",
            recurrent=True,
        ),
    ),
    has_current=True,
)
