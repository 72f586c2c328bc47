"""Leaky integrate-and-fire without a synaptic current.

::

    NIR        LIF: tau dv/dt = v_leak - v + r x; spike if v > v_threshold, then v = v_reset
               Threshold: the same with a = 1 and nothing to reset
    Norse      LIFBoxCell
    step       v <- v + a (v_leak - v + r x)
    registers  du = 4095 (u is the step's input alone), dv = rint(4096 a)
"""

from __future__ import annotations

from typing import Any

from sne_deploy.neurons import leaky
from sne_deploy.neurons.model import CellType, NeuronModel, NodeType, Values


def _discretise(name: str, node: Any, dt_s: float) -> Values:
    values = leaky.membrane(name, node, dt_s)
    return {**values, **leaky.firing(name, node, values["a"])}


def _threshold(_name: str, node: Any, _dt_s: float) -> Values:
    return {"a": 1.0, "gain": 1.0, "v_leak": 0.0, "v_th": node.threshold, "v_reset": 0.0}


NODE = NodeType(
    name="LIF",
    fields=("tau", "r", "v_leak", "v_threshold", "v_reset"),
    discretise=_discretise,
    gain=leaky.MEMBRANE_GAIN,
)
THRESHOLD = NodeType(
    name="Threshold",
    fields=("threshold",),
    discretise=_threshold,
)
MODEL = NeuronModel(
    name="lif",
    nodes=(NODE, THRESHOLD),
    cells=(
        CellType(
            kind="LIFBoxCell",
            node="LIF",
            tensors={"tau_mem_inv": "tau", "v_leak": "v_leak", **leaky.FIRES},
            parameters="LIFBoxParameters",
            state="LIFBoxFeedForwardState",
        ),
    ),
)
