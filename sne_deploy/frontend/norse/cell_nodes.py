"""Norse cells as NIR neurons, without loss.

NIR is integrated as I <- I + b (w_in S - I), then v with the new I, where a = dt / tau_mem and
b = dt / tau_syn; so w_in = tau_syn / dt makes every spike add its whole weight, as Norse does.

Parameters of a node are float64 arrays of the full shape of its neurons. Its metadata keeps the cell's
own tensors and options.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.frontend.nir.neuron_nodes import node_class
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.layer_rules import subtracts
from sne_deploy.neurons.model import CellType, Gain, NodeType, is_time
from sne_deploy.neurons.table import CELLS, model_of_cell

Array = npt.NDArray[Any]
WEIGHTS = ("input_weights", "recurrent_weights")


def cell_to_node(layer: Layer, shape: tuple[int, ...], dt_s: float) -> Any:
    """Make the NIR neuron of a Norse cell.

    Parameters
    ----------
    layer : Layer
        A valid cell; of a recurrent one, the neurons alone.
    shape : tuple of int
        Shape of the group of neurons.
    dt_s : float
        Time step in seconds.
    """
    node = node_class(_row_of(CELLS[layer.kind]))(**node_arrays(layer, shape, dt_s))
    node.metadata = {
        "kind": layer.kind,
        "options": {name: value for name, value in layer.options.items() if value is not None},
        **({"reset": "subtract"} if subtracts(layer) else {}),
        "tensors": {name: array.copy() for name, array in layer.tensors.items() if name not in WEIGHTS},
    }
    return node


def node_arrays(layer: Layer, shape: Shape, dt_s: float) -> dict[str, Array]:
    """The fields of the node that a cell becomes, float64 of the full shape."""

    def full(name: str) -> Array:
        return np.broadcast_to(layer.tensors[name].astype(np.float64), shape).copy()

    cell = CELLS[layer.kind]
    fields = {
        field: _tau_s(layer.tensors[tensor], shape, dt_s) if is_time(field) else full(tensor)
        for tensor, field in cell.tensors.items()
    }
    return {**fields, **gain_of(cell).unit(fields, shape, dt_s)}


def _row_of(cell: CellType) -> NodeType:
    return model_of_cell(cell.kind).node(cell.node)


def gain_of(cell: CellType) -> Gain:
    """The gain of the node that a cell becomes."""
    gain = _row_of(cell).gain
    assert gain is not None  # noqa: S101  a node that a cell stands for has one
    return gain


def _tau_s(tau_inv: Array, shape: Shape, dt_s: float) -> Array:
    """1 / tau_inv in seconds; exactly dt where dt * tau_inv is 1 in the parameter's own precision."""
    is_dt = tau_inv.dtype.type(dt_s) * tau_inv == 1
    return np.broadcast_to(np.where(is_dt, dt_s, 1.0 / tau_inv.astype(np.float64)), shape).copy()
