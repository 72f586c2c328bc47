"""Leaky integrator without spikes and without a synaptic current: a readout.

::

    NIR        LI: tau dv/dt = v_leak - v + r x;  I: dv/dt = r x
    Norse      LIBoxCell (of LI)
    step       v <- v + a (v_leak - v + r x);  v <- v + dt r x
    registers  du = 4095, dv = rint(4096 a), of I 0; no threshold, v_reset = v_leak
"""

from __future__ import annotations

from typing import Any

from sne_deploy.neurons import leaky
from sne_deploy.neurons.model import CellType, NeuronModel, NodeType, Values


def _discretise(name: str, node: Any, dt_s: float) -> Values:
    return {**leaky.membrane(name, node, dt_s), "v_reset": node.v_leak}


def _integrator(_name: str, node: Any, dt_s: float) -> Values:
    return {"gain": dt_s * node.r}


INTEGRATOR = NodeType(
    name="I",
    fields=("r",),
    discretise=_integrator,
)
NODE = NodeType(
    name="LI",
    fields=("tau", "r", "v_leak"),
    discretise=_discretise,
    gain=leaky.MEMBRANE_GAIN,
)
MODEL = NeuronModel(
    name="li",
    nodes=(NODE, INTEGRATOR),
    cells=(
        CellType(
            "LIBoxCell", "LI", {"tau_mem_inv": "tau", "v_leak": "v_leak"}, "LIBoxParameters", "LIBoxState"
        ),
    ),
    spiking=False,
    fires_as="lif",
)
