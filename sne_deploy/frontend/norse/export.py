"""Students as NIR graphs: strict and lossless.

Cells become the nodes that the table of neuron models names; a recurrent one becomes Linear, its neurons, and
Linear from them to themselves; ``pool_nodes`` says what pools become. Times are in seconds;
``graph.metadata["dt_s"]`` carries the time step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.shapes import graph_shapes, set_types
from sne_deploy.frontend.norse.batch_norm import inference_layers
from sne_deploy.frontend.norse.cell_nodes import cell_to_node
from sne_deploy.frontend.norse.pool_nodes import POOLS, Part
from sne_deploy.model.ensemble import Layer, Student
from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.layer_rules import conv_geometry, flatten_axes
from sne_deploy.model.layers.registry import check_stack, layer_label, option, output_shape
from sne_deploy.model.layers.skips import SKIPS, over, source_of
from sne_deploy.neurons.table import CELLS

__all__ = ["FORMAT", "FORMAT_VERSION", "export_student"]

FORMAT = "sne-deploy"
FORMAT_VERSION = 1


def export_student(student: Student, input_shape: tuple[int, ...]) -> nir.NIRGraph:
    """Export a student's layers to NIR; a student that is a graph already is normalised.

    Dropout is dropped and batch normalisation folded. Every node has its types set.

    Parameters
    ----------
    student : Student
    input_shape : tuple of int
        Shape of one sample at one step, without batch and time.

    Raises
    ------
    GraphError
        Layers are invalid or do not chain, cells have different dt, or there is no cell.
    UnsupportedError
        The graph has nodes of unknown types; lists them all.
    """
    try:
        if isinstance(student.network, nir.NIRGraph):
            return normalise(student.network, input_shape)
        if isinstance(student.network, tuple):
            return _export_layers(student.network, tuple(int(size) for size in input_shape))
        raise GraphError("it is a Program already, which has no layers to export; compile it")
    except GraphError as error:
        raise GraphError(f"student {student.name!r}: {error}") from None


def _export_layers(layers: Sequence[Layer], input_shape: Shape) -> nir.NIRGraph:
    check_stack(layers, input_shape)
    dt_s = _common_dt(layers)
    layers = inference_layers(layers, input_shape)
    nodes: dict[str, Any] = {"input": nir.Input(np.array(input_shape))}
    edges: list[tuple[str, str]] = []
    last: tuple[str, ...] = ("input",)
    shape = input_shape
    sent: list[tuple[str, Shape]] = []  # of each cell, its node and shape
    for index, layer in enumerate(layers):
        skipped = source_of(over(layer), sent) if layer.kind in SKIPS else None
        part = _part(layer, shape if skipped is None else skipped[1], dt_s)
        name = _node_name(layer, index, part, {*nodes, "output"})
        nodes |= {name + end: node for end, node in part.nodes.items()}
        if layer.options.get("name"):
            node = nodes[name + part.last]
            node.metadata = {**node.metadata, "name": layer.options["name"]}
        sources = last if skipped is None else (skipped[0],)
        edges += [(source, name + end) for source in sources for end in part.entries]
        edges += [(name + a, name + b) for a, b in part.edges]
        made = name + part.last
        last, shape = (made,) if skipped is None else (*last, made), output_shape(layer, shape)
        if layer.kind in CELLS:
            sent.append((made, shape))
    nodes["output"] = nir.Output(np.array(shape))
    edges += [(source, "output") for source in last]
    metadata = {"dt_s": dt_s, "format": FORMAT, "format_version": FORMAT_VERSION}
    graph = nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)
    set_types(graph, graph_shapes(graph, input_shape))
    return graph


def _common_dt(layers: Sequence[Layer]) -> float:
    found: dict[float, str] = {}
    for index, layer in enumerate(layers):
        if layer.kind in CELLS:
            found.setdefault(float(option(layer, "dt")), f"layer {index} ({layer_label(layer)})")  # type: ignore[arg-type]  # validated: a number
    if not found:
        raise GraphError("there is no neuron cell among its layers; add one, such as LIFCell")
    if len(found) > 1:
        which = ", ".join(f"{where} has {dt} s" for dt, where in found.items())
        raise GraphError(f"cells have different dt: {which}; give all of them the same")
    return next(iter(found))


def _node_name(layer: Layer, index: int, part: Part, used: Collection[str]) -> str:
    """The layer's own, or one made of its kind; none of its nodes' names is used."""
    wanted = str(layer.options.get("name") or f"{layer.kind.lower()}_{index}")
    name, suffix = wanted, index
    while any(name + end in used for end in part.nodes):
        name, suffix = f"{wanted}_{suffix}", suffix + 1
    return name


def _part(layer: Layer, shape: Shape, dt_s: float) -> Part:
    if layer.kind in CELLS:
        return (
            _recurrent(layer, dt_s) if CELLS[layer.kind].recurrent else _one(cell_to_node(layer, shape, dt_s))
        )
    metadata: dict[str, Any] = {"kind": layer.kind}
    if layer.kind in ("Linear", "SkipLinear"):
        weight, bias = layer.tensors["weight"].copy(), layer.tensors.get("bias")
        if bias is None:
            return _one(nir.Linear(weight, metadata=metadata))
        return _one(nir.Affine(weight, bias.copy(), metadata=metadata))
    if layer.kind == "Flatten":
        start, end = flatten_axes(layer, len(shape))
        return _one(nir.Flatten({"input": np.array(shape)}, start, end, metadata=metadata))
    if layer.kind in POOLS:
        return POOLS[layer.kind](layer, shape)
    return _one(_conv_node(layer, shape, metadata))


def _one(node: Any) -> Part:
    return Part({"": node})


def _recurrent(layer: Layer, dt_s: float) -> Part:
    weights = layer.tensors["input_weights"], layer.tensors["recurrent_weights"]
    nodes = {
        "_input": nir.Linear(weights[0].copy(), metadata={"kind": layer.kind, "role": "input"}),
        "": cell_to_node(layer, weights[0].shape[:1], dt_s),
        "_recurrent": nir.Linear(weights[1].copy(), metadata={"kind": layer.kind, "role": "recurrent"}),
    }
    return Part(nodes, (("_input", ""), ("", "_recurrent"), ("_recurrent", "")), ("_input",))


def _conv_node(layer: Layer, shape: Shape, metadata: dict[str, Any]) -> nir.Conv1d | nir.Conv2d:
    _, stride, padding, dilation, groups = conv_geometry(layer)
    weight, bias = layer.tensors["weight"].copy(), layer.tensors.get("bias")
    metadata = {**metadata, "bias": bias is not None}
    bias = np.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.copy()
    if layer.kind == "Conv1d":
        return nir.Conv1d(
            shape[1], weight, stride[0], padding[0], dilation[0], groups, bias, metadata=metadata
        )
    return nir.Conv2d(shape[1:], weight, stride, padding, dilation, groups, bias, metadata=metadata)
