"""Graphs of any tool in the one form that everything after the frontend reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.frontend.nir.broadcast import PARAMETERS, as_array, to_shape
from sne_deploy.frontend.nir.flatten import inline
from sne_deploy.frontend.nir.primitives import EXACT, node_fields
from sne_deploy.frontend.nir.shape_rules import conv_node_geometry, flatten_node_axes, symmetric_node
from sne_deploy.frontend.nir.shapes import Resolution, resolve
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.model.layers.geometry import Shape

Array = npt.NDArray[Any]


def normalise(graph: nir.NIRGraph, input_shape: Shape | None = None) -> nir.NIRGraph:
    """A graph that computes the same, in the form that passes and executors rely on.

    It is flat. Nodes are in the order in which they are computed, edges sorted. Parameters are arrays of
    float32 or float64 (other types become float64) with exactly the neurons' shape; input and output types
    are set everywhere, without batch and time. Flatten counts no batch axis; strides, paddings and dilations
    are numbers, one per axis. The given graph is not changed. Twice is once.

    Parameters
    ----------
    graph : nir.NIRGraph
    input_shape : tuple of int or None
        As for :func:`sne_deploy.frontend.nir.shapes.graph_shapes`.

    Raises
    ------
    UnsupportedError
        Lists every node of an unknown type.
    GraphError
        The graph is inconsistent, or a field holds what it may not; names the node.
    """
    return normalised(graph, resolve(graph, input_shape))


def normalised(graph: nir.NIRGraph, resolved: Resolution) -> nir.NIRGraph:
    """As :func:`normalise`, for a graph whose shapes are found already."""
    flat = inline(graph)
    shapes, entering = resolved.shapes, resolved.entering
    nodes = {
        name: _normal(name, flat.nodes[name], entering[name], shapes[name])
        for name in execution_order(flat).order
    }
    made = nir.NIRGraph(nodes, sorted(flat.edges), metadata=flat.metadata, type_check=False)
    for name, node in nodes.items():
        node.input_type = {"input": np.array(entering[name])}
        node.output_type = {"output": np.array(shapes[name])}
    made.__post_init__()
    return made


def _normal(name: str, node: Any, entering: Shape, leaving: Shape) -> Any:
    kind = type(node)
    if kind in PARAMETERS:
        fields = {key: to_shape(_floats(getattr(node, key)), leaving) for key in PARAMETERS[kind]}
    else:
        fields = _FIELDS[kind](node, entering)
    made = kind(**fields, metadata=dict(node.metadata))
    node_fields(name, made)
    return made


def _floats(value: Any) -> Array:
    """float32 and float64 as they are, and what is then refused; other floats, integers, bools as float64."""
    array = as_array(value)
    rounded = array.dtype.kind in "iu" and array.size > 0 and max(-int(array.min()), int(array.max())) > EXACT
    as_it_is = array.dtype in (np.float32, np.float64) or array.dtype.kind not in "fiub" or rounded
    return array if as_it_is else array.astype(np.float64)


def _affine(node: nir.Affine, _entering: Shape) -> dict[str, Any]:
    return {"weight": _floats(node.weight), "bias": _floats(node.bias)}


def _linear(node: nir.Linear, _entering: Shape) -> dict[str, Any]:
    return {"weight": _floats(node.weight)}


def _conv(node: Any, entering: Shape) -> dict[str, Any]:
    node = symmetric_node(node)
    stride, padding, dilation, groups = conv_node_geometry(node)
    one = isinstance(node, nir.Conv1d)
    return {
        "input_shape": entering[1] if one else entering[1:],
        "weight": _floats(node.weight),
        "stride": stride[0] if one else stride,
        "padding": padding[0] if one else padding,
        "dilation": dilation[0] if one else dilation,
        "groups": groups,
        "bias": _floats(node.bias),
    }


def _pool(node: Any, _entering: Shape) -> dict[str, Any]:
    return {
        key: np.array(np.broadcast_to(np.asarray(getattr(node, key)).reshape(-1), (2,)))
        for key in ("kernel_size", "stride", "padding")
    }


def _flatten(node: nir.Flatten, entering: Shape) -> dict[str, Any]:
    start, end = flatten_node_axes(node, entering)
    return {"input_type": {"input": np.array(entering)}, "start_dim": start, "end_dim": end}


def _input(_node: nir.Input, entering: Shape) -> dict[str, Any]:
    return {"input_type": {"input": np.array(entering)}}


def _output(_node: nir.Output, entering: Shape) -> dict[str, Any]:
    return {"output_type": {"output": np.array(entering)}}


_FIELDS: dict[type, Callable[[Any, Shape], dict[str, Any]]] = {
    nir.Affine: _affine,
    nir.Linear: _linear,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.SumPool2d: _pool,
    nir.AvgPool2d: _pool,
    nir.Flatten: _flatten,
    nir.Input: _input,
    nir.Output: _output,
}
"""From (node, shape that enters) to the node's arguments."""
