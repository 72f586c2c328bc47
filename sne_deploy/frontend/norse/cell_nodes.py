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

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.model.ensemble import Layer, OptionValue
from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.registry import LAYER_KINDS, validate_layer

Array = npt.NDArray[Any]
WEIGHTS = ("input_weights", "recurrent_weights")
_TOLERANCE = 1e-5
_NODE_OF = {
    "LIFCell": nir.CubaLIF,
    "LIFRecurrentCell": nir.CubaLIF,
    "LIFBoxCell": nir.LIF,
    "LICell": nir.CubaLI,
    "LIBoxCell": nir.LI,
    "IAFCell": nir.IF,
}
KIND_OF = {
    nir.CubaLIF: "LIFCell",
    nir.LIF: "LIFBoxCell",
    nir.CubaLI: "LICell",
    nir.LI: "LIBoxCell",
    nir.IF: "IAFCell",
}


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
    node = _NODE_OF[layer.kind](**_node_arrays(layer, shape, dt_s))
    node.metadata = {
        "kind": layer.kind,
        "options": {name: value for name, value in layer.options.items() if value is not None},
        "tensors": {name: array.copy() for name, array in layer.tensors.items() if name not in WEIGHTS},
    }
    return node


def node_to_cell(name: str, node: Any, dt_s: float, kind: str, weights: Mapping[str, Array]) -> Layer:
    """Make the Norse cell of a NIR neuron.

    Parameters
    ----------
    name : str
        The node's, for messages.
    node : nir.CubaLIF, nir.LIF, nir.CubaLI, nir.LI or nir.IF
    dt_s : float
    kind : str
        The cell to make; ``"LIFRecurrentCell"`` gets its ``weights`` too.

    Raises
    ------
    GraphError
        The node has a gain that no Norse cell has, or gives an invalid cell.
    """
    options = _options(name, node, kind, dt_s)
    if kind == "LIFRecurrentCell" and np.diagonal(weights["recurrent_weights"]).any():
        options = {**options, "autapses": True}
    remembered = _remembered(node, kind)
    if remembered is not None:
        layer = Layer(kind, options, {**remembered, **weights})
        if not validate_layer(layer) and _same_arrays(layer, node, dt_s):
            return layer
    layer = Layer(kind, options, {**_derived(name, node, dt_s), **weights})
    problems = validate_layer(layer)
    if problems:
        raise GraphError(f"node {name!r} ({type(node).__name__}): {'; '.join(problems)}")
    return layer


def _node_arrays(layer: Layer, shape: Shape, dt_s: float) -> dict[str, Array]:
    def full(name: str) -> Array:
        return np.broadcast_to(layer.tensors[name].astype(np.float64), shape).copy()

    spikes = {"v_threshold": full("v_th"), "v_reset": full("v_reset")} if "v_th" in layer.tensors else {}
    if layer.kind == "IAFCell":
        return {"r": np.full(shape, 1.0 / dt_s), **spikes}
    common = {"r": np.ones(shape), "v_leak": full("v_leak"), **spikes}
    tau_mem = _tau_s(layer.tensors["tau_mem_inv"], shape, dt_s)
    if "tau_syn_inv" not in layer.tensors:
        return {"tau": tau_mem, **common}
    tau_syn = _tau_s(layer.tensors["tau_syn_inv"], shape, dt_s)
    return {"tau_mem": tau_mem, "tau_syn": tau_syn, "w_in": tau_syn / dt_s, **common}


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


def _derived(name: str, node: Any, dt_s: float) -> dict[str, Array]:
    """The cell's tensors from the node's own arrays, uniform ones as scalars."""
    _check_gain(name, node, dt_s)
    arrays: dict[str, Array] = {}
    for field, tensor in (("v_leak", "v_leak"), ("v_threshold", "v_th"), ("v_reset", "v_reset")):
        if hasattr(node, field):
            arrays[tensor] = np.asarray(getattr(node, field), dtype=np.float64)
    for field, tensor in (("tau", "tau_mem_inv"), ("tau_mem", "tau_mem_inv"), ("tau_syn", "tau_syn_inv")):
        if hasattr(node, field):
            tau = np.asarray(getattr(node, field), dtype=np.float64)
            if not (tau > 0).all():
                raise GraphError(f"node {name!r}: {field} holds values that are not above 0 s")
            arrays[tensor] = _at_most_one(1.0 / tau, dt_s)
    return {tensor: _scalar_if_uniform(array) for tensor, array in arrays.items()}


def _at_most_one(tau_inv: Array, dt_s: float) -> Array:
    """1 / tau, where a float32 tau of dt may come out above 1 / dt by its rounding."""
    above = (dt_s * tau_inv > 1) & (dt_s * tau_inv <= 1 + 1e-6)
    whole = 1.0 / dt_s
    return np.where(above, whole if dt_s * whole <= 1 else np.nextafter(whole, 0), tau_inv)


def _check_gain(name: str, node: Any, dt_s: float) -> None:
    gain = np.asarray(node.r, dtype=np.float64)
    formula = "r"
    if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
        gain, formula = gain * node.w_in * dt_s / node.tau_syn, "r * w_in * dt / tau_syn"
    elif isinstance(node, nir.IF):
        gain, formula = gain * dt_s, "r * dt"
    if not np.allclose(gain, 1.0, rtol=_TOLERANCE, atol=0):
        raise GraphError(
            f"node {name!r} ({type(node).__name__}): {formula} is {gain.min():.6g} to {gain.max():.6g}, "
            "a Norse cell has 1; scale the weights before it instead"
        )


def _scalar_if_uniform(array: Array) -> Array:
    return np.array(array.flat[0]) if (array == array.flat[0]).all() else array.copy()
