"""Norse cells as NIR neurons, and back without loss.

NIR is integrated as I <- I + b (w_in S - I), then v with the new I, where a = dt / tau_mem and
b = dt / tau_syn; so w_in = tau_syn / dt makes every spike add its whole weight, as Norse does.

Parameters of a node are float64 arrays of the full shape of its neurons. Its metadata keeps the cell's
own tensors; they are used on the way back only where they give the node's arrays bit for bit, so a graph
that was edited means what its nodes say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.neuron_nodes import node_class
from sne_deploy.model.ensemble import Layer, OptionValue
from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.registry import LAYER_KINDS, validate_layer
from sne_deploy.neurons.model import CellType, Gain, NodeType, is_time
from sne_deploy.neurons.table import CELLS, Derived, model_of_cell

Array = npt.NDArray[Any]
WEIGHTS = ("input_weights", "recurrent_weights")
_TOLERANCE = 1e-5
CELL_OF: Mapping[type, CellType] = Derived(
    lambda models: {
        node_class(model.node(cell.node)): cell for model in models for cell in reversed(model.cells)
    }
)
"""What a node becomes in Norse: its model's first cell that is such a node."""


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
    node = node_class(_row_of(CELLS[layer.kind]))(**_node_arrays(layer, shape, dt_s))
    node.metadata = {
        "kind": layer.kind,
        "options": {name: value for name, value in layer.options.items() if value is not None},
        "tensors": {name: array.copy() for name, array in layer.tensors.items() if name not in WEIGHTS},
    }
    return node


def node_to_cell(
    name: str,
    node: Any,
    dt_s: float,
    cell: CellType | None = None,
    weights: Mapping[str, Array] | None = None,
) -> Layer:
    """Make the Norse cell of a NIR neuron.

    Parameters
    ----------
    name : str
        The node's, for messages.
    node : node of a class in :data:`CELL_OF`
    dt_s : float
    cell : CellType or None
        The cell to make; None: the one of the table.
    weights : mapping or None
        Of a recurrent cell.

    Raises
    ------
    GraphError
        The node has a gain that no Norse cell has, or gives an invalid cell.
    """
    cell, weights = cell or CELL_OF[type(node)], weights or {}
    kind = cell.kind
    options = _options(name, node, kind, dt_s)
    if cell.recurrent and np.diagonal(weights["recurrent_weights"]).any():
        options = {**options, "autapses": True}
    remembered = _remembered(node, kind)
    if remembered is not None:
        layer = Layer(kind, options, {**remembered, **weights})
        if not validate_layer(layer) and _same_arrays(layer, node, dt_s):
            return layer
    layer = Layer(kind, options, {**_derived(name, node, cell, dt_s), **weights})
    problems = validate_layer(layer)
    if problems:
        raise GraphError(f"node {name!r} ({type(node).__name__}): {'; '.join(problems)}")
    return layer


def _node_arrays(layer: Layer, shape: Shape, dt_s: float) -> dict[str, Array]:
    def full(name: str) -> Array:
        return np.broadcast_to(layer.tensors[name].astype(np.float64), shape).copy()

    cell = CELLS[layer.kind]
    fields = {
        field: _tau_s(layer.tensors[tensor], shape, dt_s) if is_time(field) else full(tensor)
        for tensor, field in cell.tensors.items()
    }
    return {**fields, **_gain_of(cell).unit(fields, shape, dt_s)}


def _row_of(cell: CellType) -> NodeType:
    return model_of_cell(cell.kind).node(cell.node)


def _gain_of(cell: CellType) -> Gain:
    gain = _row_of(cell).gain
    assert gain is not None  # noqa: S101  a node that a cell stands for has one
    return gain


def _tau_s(tau_inv: Array, shape: Shape, dt_s: float) -> Array:
    """1 / tau_inv in seconds; exactly dt where dt * tau_inv is 1 in the parameter's own precision."""
    is_dt = tau_inv.dtype.type(dt_s) * tau_inv == 1
    return np.broadcast_to(np.where(is_dt, dt_s, 1.0 / tau_inv.astype(np.float64)), shape).copy()


def _same_arrays(layer: Layer, node: Any, dt_s: float) -> bool:
    try:
        arrays = _node_arrays(layer, np.shape(node.r), dt_s)
    except ValueError:
        return False
    return all(np.array_equal(array, getattr(node, field)) for field, array in arrays.items())


def _remembered(node: Any, kind: str) -> dict[str, Array] | None:
    tensors = node.metadata.get("tensors")
    if node.metadata.get("kind") != kind or not isinstance(tensors, Mapping):
        return None
    known = LAYER_KINDS[kind].tensors
    return {name: np.array(tensors[name]) for name in known if name in tensors}


def _options(name: str, node: Any, kind: str, dt_s: float) -> dict[str, OptionValue]:
    stored = node.metadata.get("options", {})
    if not isinstance(stored, Mapping):
        raise GraphError(f"node {name!r}: metadata 'options' is a {type(stored).__name__}, must be a group")
    known = LAYER_KINDS[kind].options
    options = {key: plain(value) for key, value in stored.items() if key in known and key != "dt"}
    return {**options, "dt": dt_s}


def plain(value: Any) -> OptionValue:
    """A NumPy scalar or array as the plain value that it was before it was stored."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(value.tolist())
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        return cast(OptionValue, value.item())
    return cast(OptionValue, value)


def _derived(name: str, node: Any, cell: CellType, dt_s: float) -> dict[str, Array]:
    """The cell's tensors from the node's own arrays, uniform ones as scalars."""
    _check_gain(name, node, cell, dt_s)
    arrays: dict[str, Array] = {}
    for tensor, field in cell.tensors.items():
        values = np.asarray(getattr(node, field), dtype=np.float64)
        if is_time(field):
            if not (values > 0).all():
                raise GraphError(f"node {name!r}: {field} holds values that are not above 0 s")
            values = _at_most_one(1.0 / values, dt_s)
        arrays[tensor] = _scalar_if_uniform(values)
    return arrays


def _at_most_one(tau_inv: Array, dt_s: float) -> Array:
    """1 / tau, where a float32 tau of dt may come out above 1 / dt by its rounding."""
    above = (dt_s * tau_inv > 1) & (dt_s * tau_inv <= 1 + 1e-6)
    whole = 1.0 / dt_s
    return np.where(above, whole if dt_s * whole <= 1 else np.nextafter(whole, 0), tau_inv)


def _check_gain(name: str, node: Any, cell: CellType, dt_s: float) -> None:
    formula, gain = _gain_of(cell).formula, _gain_of(cell).of(node, dt_s)
    if not np.allclose(gain, 1.0, rtol=_TOLERANCE, atol=0):
        raise GraphError(
            f"node {name!r} ({type(node).__name__}): {formula} is {gain.min():.6g} to {gain.max():.6g}, "
            "a Norse cell has 1; scale the weights before it instead"
        )


def _scalar_if_uniform(array: Array) -> Array:
    return np.array(array.flat[0]) if (array == array.flat[0]).all() else array.copy()
