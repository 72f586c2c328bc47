"""Leaky integrator behind a synaptic current, without spikes: a readout.

::

    NIR        CubaLI: tau_syn dI/dt = w_in x - I; tau_mem dv/dt = v_leak - v + r I
    Norse      LICell
    step       I <- I + b (w_in x - I); v <- v + a (v_leak - v + r I), with the new I
    registers  u = a r I: du = rint(4096 b) - 1, dv = rint(4096 a); no threshold, v_reset = v_leak
"""

from __future__ import annotations

from typing import Any

from sne_deploy.neurons import leaky
from sne_deploy.neurons.model import CellType, NeuronModel, NodeType, Values


def _discretise(name: str, node: Any, dt_s: float) -> Values:
    return {**leaky.membrane_with_current(name, node, dt_s), "v_reset": node.v_leak}


NODE = NodeType(
    name="CubaLI",
    fields=("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    discretise=_discretise,
    gain=leaky.CURRENT_GAIN,
)
MODEL = NeuronModel(
    name="cuba_li",
    nodes=(NODE,),
    cells=(
        CellType(
            kind="LICell",
            node="CubaLI",
            tensors={"tau_syn_inv": "tau_syn", "tau_mem_inv": "tau_mem", "v_leak": "v_leak"},
            parameters="LIParameters",
            state="LIState",
            layer="LI",
        ),
    ),
    spiking=False,
    has_current=True,
    fires_as="cuba_lif",
)
