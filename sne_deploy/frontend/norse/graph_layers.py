"""NIR graphs as layers: a chain, in which a cell may have a recurrent matrix from itself to itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.nir.neuron_nodes import fires
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.shapes import input_shape_of
from sne_deploy.frontend.nir.windows import conv_node_geometry
from sne_deploy.frontend.norse.cell_nodes import CELL_OF, node_to_cell, plain
from sne_deploy.model.ensemble import Layer, OptionValue
from sne_deploy.model.layers.registry import check_stack
from sne_deploy.neurons.resets import reset_of
from sne_deploy.neurons.table import CELLS

Array = npt.NDArray[Any]


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
        and type(node) not in CELL_OF
        and type(node) not in (nir.Input, nir.Output)
    ]
    unknown += [
        f"node {name!r} subtracts at a reset, which no cell here does"
        for name, node in graph.nodes.items()
        if fires(node) and reset_of(name, node).mode != "value"
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
        else:
            layers.append(_named(_LAYERS[type(node)](node), node))
    check_stack(layers, input_shape)
    return tuple(layers)


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
