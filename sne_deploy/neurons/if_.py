"""Integrate-and-fire without a leak.

::

    NIR        IF: dv/dt = r x; spike if v > v_threshold, then v = v_reset
    Norse      IAFCell
    step       v <- v + dt r x
    registers  du = 4095, dv = 0
"""

from __future__ import annotations

from typing import Any

from sne_deploy.neurons import leaky
from sne_deploy.neurons.model import CellType, NeuronModel, NodeType, Values


def _discretise(name: str, node: Any, dt_s: float) -> Values:
    fires = leaky.firing(name, node, 0.0)
    return {"gain": dt_s * node.r, "v_leak": fires["v_reset"], **fires}


NODE = NodeType(
    name="IF",
    fields=("r", "v_threshold", "v_reset"),
    discretise=_discretise,
    gain=leaky.PERFECT_GAIN,
)
MODEL = NeuronModel(
    name="if",
    nodes=(NODE,),
    cells=(CellType("IAFCell", "IF", leaky.FIRES, "IAFParameters", "IAFFeedForwardState", layer="IAF"),),
)
