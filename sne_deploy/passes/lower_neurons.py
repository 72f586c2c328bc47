"""NIR's neurons with time made discrete, as their model says: forward Euler at dt."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.neuron_nodes import NEURONS
from sne_deploy.ir.network import NeuronNode

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
_DEFAULTS = {"a": 0.0, "b": 1.0, "v_leak": 0.0, "v_th": 0.0, "v_reset": 0.0}


def lower_neurons(name: str, node: Any, shape: Shape, dt_s: float) -> NeuronNode:
    """The neurons of a node whose class is in :data:`NEURONS`.

    Raises
    ------
    GraphError
        A parameter has another number of values than there are neurons, or the model refuses one.
    """
    model, row = NEURONS[type(node)]
    size = int(np.prod(shape))
    found = {**_DEFAULTS, **row.discretise(name, node, dt_s)}
    delayed = bool(found.pop("reset_delayed", False))
    values = {key: _flat(value, size) for key, value in found.items()}
    own = {key: values.pop(key) for key in model.own}
    return NeuronNode(name, model.name, shape, **values, reset_delayed=delayed, own=own)


def _flat(value: Array | float, size: int) -> Array:
    """float64, shape () where all equal, else (n,)."""
    flat = np.asarray(value, dtype=np.float64).reshape(-1)
    if flat.size == 1 or bool(np.all(flat == flat[0])):
        return np.asarray(flat[0])
    if flat.size != size:
        raise GraphError(f"a parameter has {flat.size} values for {size} neurons")
    return flat.copy()
