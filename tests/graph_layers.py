"""NIR graphs as layers, the way back from an export: what shows that nothing was lost on the way there.

A chain, in which a cell may have a recurrent matrix from itself to itself. The tensors of a cell that a
node's metadata keeps are used only where they give the node's arrays bit for bit, so a graph that was edited
means what its nodes say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.nir.neuron_nodes import fires, node_class
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.shapes import input_shape_of
from sne_deploy.frontend.nir.windows import conv_node_geometry
from sne_deploy.frontend.norse.cell_nodes import gain_of, node_arrays
from sne_deploy.model.ensemble import Layer, OptionValue
from sne_deploy.model.layers.registry import LAYER_KINDS, check_stack, validate_layer
from sne_deploy.neurons.model import CellType, is_time
from sne_deploy.neurons.resets import reset_of
from sne_deploy.neurons.table import CELLS, Derived

Array = npt.NDArray[Any]
_TOLERANCE = 1e-5
CELL_OF: Mapping[type, CellType] = Derived(
    lambda models: {
        node_class(model.node(cell.node)): cell for model in models for cell in reversed(model.cells)
    }
)
"""What a node becomes in Norse: its model's first cell that is such a node."""


def layers_from_graph(graph: nir.NIRGraph) -> tuple[Layer, ...]:
    """Make the layers of a graph: the inverse of :func:`sne_deploy.frontend.norse.export.export_student`.

    Graphs of other tools are read too, normalised: neurons become the Norse cell with the same equations.

    Raises
    ------
    UnsupportedError
        Lists every node that no layer stands for.
    GraphError
        The graph is not a chain, names no time step, or a neuron has a gain that no Norse cell has.
    """
    graph = normalise(graph)
    input_shape = input_shape_of(graph)
    outputs = sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Output))
    if len(outputs) > 1:
        raise GraphError(
            f"the graph has {len(outputs)} outputs: {', '.join(outputs)}; only chains can become layers"
        )
    unknown = [
        f"node {name!r} of type {type(node).__name__} has no layer"
        for name, node in graph.nodes.items()
        if type(node) not in _LAYERS
        and "Pool" not in _kind(node)
        and type(node) not in CELL_OF
        and type(node) not in (nir.Input, nir.Output)
    ]
    unknown += [
        f"node {name!r} subtracts one step late at a reset, which no cell does"
        for name, node in graph.nodes.items()
        if fires(node) and reset_of(name, node).delayed
    ]
    if unknown:
        raise UnsupportedError("NIR graph", unknown)
    dt_s = _dt_s(graph)
    loops = _loops(graph)
    layers: list[Layer] = []
    for name in _chain(graph, set(loops.values())):
        node = graph.nodes[name]
        if name in loops:
            layers = _with_recurrent(layers, graph, name, loops[name], dt_s)
        elif type(node) in CELL_OF:
            layers.append(node_to_cell(name, node, dt_s))
        elif _role(node) == "input":
            continue
        elif "Pool" in _kind(node):
            options = {key: plain(value) for key, value in node.metadata.get("options", {}).items()}
            layers.append(Layer(_kind(node), options) if options else _named(_LAYERS[type(node)](node), node))
        else:
            layers.append(_named(_LAYERS[type(node)](node), node))
    check_stack(layers, input_shape)
    return tuple(layers)


def _kind(node: Any) -> str:
    """The kind of layer that a node says it comes from."""
    return str(plain(node.metadata.get("kind", "")))


def _role(node: Any) -> str:
    """``input`` of the first of a pool's two nodes."""
    return str(plain(node.metadata.get("role", ""))) if "Pool" in _kind(node) else ""


def _dt_s(graph: nir.NIRGraph) -> float:
    value = plain(graph.metadata.get("dt_s"))
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not (np.isfinite(value) and value > 0)
    ):
        raise GraphError(
            f"graph metadata dt_s={value!r} must be a positive number of seconds; set graph.metadata['dt_s']"
        )
    return float(value)


def _loops(graph: nir.NIRGraph) -> dict[str, str]:
    """Neuron -> the matrix on its own cycle."""
    edges = {(str(a), str(b)) for a, b in graph.edges}
    return {
        a: b
        for a, b in edges
        if (b, a) in edges
        and type(graph.nodes[a]) in CELL_OF
        and type(graph.nodes[b]) in (nir.Linear, nir.Affine)
        and sum(b in edge for edge in edges) == 2
    }


def _chain(graph: nir.NIRGraph, skip: set[str]) -> list[str]:
    follows: dict[str, str] = {}
    entered: set[str] = set()
    for a, b in ((str(a), str(b)) for a, b in graph.edges):
        if a in skip or b in skip:
            continue
        if a in follows or b in entered:
            raise GraphError(
                f"node {a if a in follows else b!r} has several {'outputs' if a in follows else 'inputs'}; "
                "only chains can become layers"
            )
        follows[a] = b
        entered.add(b)
    name = next(n for n, node in graph.nodes.items() if isinstance(node, nir.Input))
    chain = []
    while not isinstance(graph.nodes[name], nir.Output):
        if name not in follows:
            raise GraphError(f"nothing follows node {name!r}; connect it to the output")
        name = follows[name]
        chain.append(name)
    if len(chain) + len(skip) + 1 != len(graph.nodes):
        raise GraphError("the graph has a cycle that is not one matrix from a neuron group to itself")
    return chain[:-1]


def _with_recurrent(
    layers: list[Layer], graph: nir.NIRGraph, name: str, loop: str, dt_s: float
) -> list[Layer]:
    """Join neurons with their recurrent matrix, and with a bias-free input matrix where one is before it."""
    node, recurrent = graph.nodes[name], graph.nodes[loop]
    cell = next((c for c in CELLS.values() if c.recurrent and c.node == CELL_OF[type(node)].node), None)
    if cell is None:
        raise UnsupportedError("NIR graph", [f"node {name!r}: Norse has no recurrent {type(node).__name__}"])
    if np.any(getattr(recurrent, "bias", 0)):
        raise UnsupportedError(
            "NIR graph", [f"node {loop!r}: a recurrent matrix with a bias has no Norse layer"]
        )
    if layers and layers[-1].kind == "Linear" and "bias" not in layers[-1].tensors:
        layers, inputs = layers[:-1], layers[-1].tensors["weight"]
    else:
        inputs = np.eye(len(recurrent.weight), dtype=np.asarray(recurrent.weight).dtype)
    weights = {"input_weights": inputs, "recurrent_weights": np.array(recurrent.weight)}
    return [*layers, node_to_cell(name, node, dt_s, cell, weights)]


def _named(layer: Layer, node: Any) -> Layer:
    name = node.metadata.get("name")
    return Layer(layer.kind, {**layer.options, "name": str(name)}, layer.tensors) if name else layer


def _linear(node: Any) -> Layer:
    bias = {"bias": np.array(node.bias)} if isinstance(node, nir.Affine) else {}
    return Layer("Linear", {}, {"weight": np.array(node.weight), **bias})


def _conv(node: Any) -> Layer:
    stride, padding, dilation, groups = conv_node_geometry(node)
    options: dict[str, OptionValue] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    tensors = {"weight": np.array(node.weight), "bias": np.array(node.bias)}
    if plain(node.metadata.get("bias", True)) is False and not np.any(node.bias):
        del tensors["bias"]
    return Layer(type(node).__name__, options, tensors)


def _pool(node: Any) -> Layer:
    entries = {
        field: tuple(int(n) for n in np.broadcast_to(np.asarray(getattr(node, field)).reshape(-1), (2,)))
        for field in ("kernel_size", "stride", "padding")
    }
    return Layer("AvgPool2d", entries)


def _flatten(node: Any) -> Layer:
    start, end = int(node.start_dim), int(node.end_dim)
    return Layer(
        "Flatten", {"start_dim": start + 1 if start >= 0 else start, "end_dim": end + 1 if end >= 0 else end}
    )


_LAYERS: dict[type, Callable[[Any], Layer]] = {
    nir.Linear: _linear,
    nir.Affine: _linear,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.AvgPool2d: _pool,
    nir.Flatten: _flatten,
}


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


def _same_arrays(layer: Layer, node: Any, dt_s: float) -> bool:
    try:
        arrays = node_arrays(layer, np.shape(node.r), dt_s)
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
    if fires(node) and reset_of(name, node).mode == "subtract":
        options["reset_method"] = "reset_subtract"
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
    formula, gain = gain_of(cell).formula, gain_of(cell).of(node, dt_s)
    if not np.allclose(gain, 1.0, rtol=_TOLERANCE, atol=0):
        raise GraphError(
            f"node {name!r} ({type(node).__name__}): {formula} is {gain.min():.6g} to {gain.max():.6g}, "
            "a Norse cell has 1; scale the weights before it instead"
        )


def _scalar_if_uniform(array: Array) -> Array:
    return np.array(array.flat[0]) if (array == array.flat[0]).all() else array.copy()
