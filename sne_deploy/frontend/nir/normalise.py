"""Graphs of any tool in the one form that everything after the frontend reads."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from sne_deploy.frontend.nir.flatten import inline
from sne_deploy.frontend.nir.nodes import node_fields
from sne_deploy.frontend.nir.primitives import primitive_of
from sne_deploy.frontend.nir.readouts import as_readout
from sne_deploy.frontend.nir.shapes import Resolution, resolve
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.model.layers.geometry import Shape


def normalise(graph: nir.NIRGraph, input_shape: Shape | None = None) -> nir.NIRGraph:
    """A graph that computes the same, in the form that passes and executors rely on.

    It is flat. Nodes are in the order in which they are computed, edges sorted. Parameters are arrays of
    float32 or float64 (other types become float64) with exactly the neurons' shape; input and output types
    are set everywhere, without batch and time. Flatten counts no batch axis; strides, paddings and dilations
    are numbers, one per axis. Neurons whose threshold is infinite are readouts. The
    given graph is not changed. Twice is once.

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
    order = execution_order(flat).order
    nodes = {name: _normal(name, as_readout(name, flat.nodes[name]), entering[name]) for name in order}
    made = nir.NIRGraph(nodes, sorted(flat.edges), metadata=flat.metadata, type_check=False)
    for name, node in nodes.items():
        node.input_type = {"input": np.array(entering[name])}
        node.output_type = {"output": np.array(shapes[name])}
    made.__post_init__()
    return made


def _normal(name: str, node: Any, entering: Shape) -> Any:
    row = primitive_of(node)
    assert row is not None  # noqa: S101  its shape was found
    made = row.make(**row.rule.arguments(node, entering), metadata=dict(node.metadata))
    node_fields(name, made)
    return made
