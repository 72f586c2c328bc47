"""Output shape of every node of a NIR graph: our own inference.

NIR 1.0.8's own changes the graph that it checks, takes every kernel as square, and takes the input channels
of a grouped convolution for those of one group. This one reads and never writes. Parameters may be broadcast
to the shape that reaches their neurons. What an Input or Output declares may have axes too many at its front:
exporters that trace a sample write its batch and time axes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.nir.flatten import Expanded, expand
from sne_deploy.frontend.nir.input_shapes import REMEDY, Successors, candidate_shapes, joined
from sne_deploy.frontend.nir.primitives import primitive_of
from sne_deploy.frontend.nir.rules import Elementwise
from sne_deploy.model.layers.geometry import Shape, check_size

__all__ = [
    "Resolution",
    "graph_shapes",
    "input_shape_of",
    "joined_input_shape",
    "output_shape_of",
    "resolve",
    "set_types",
]


@dataclass(frozen=True)
class Resolution:
    """The shapes of a graph and of the graphs in it.

    Attributes
    ----------
    flat : Expanded
        The graph's nodes, inner ones lifted, ports included.
    shapes : dict of node name to tuple of int
        What leaves each node of ``flat``.
    entering : dict of node name to tuple of int
        What enters each.
    """

    flat: Expanded
    shapes: dict[str, Shape]
    entering: dict[str, Shape]

    @property
    def inputs(self) -> dict[str, Shape]:
        """The shape of each of the graph's inputs, in the order of their names."""
        return {name: self.shapes[name] for name in sorted(self.flat.entries[""])}


def graph_shapes(graph: nir.NIRGraph, input_shape: Shape | None = None) -> dict[str, Shape]:
    """Infer the output shape of every node, for one sample at one step.

    Edges may come in any order and may form cycles; where several edges meet, their shapes must agree.

    Parameters
    ----------
    graph : nir.NIRGraph
        It is not changed.
    input_shape : tuple of int or None
        What enters, without batch and time; for several inputs, the number of all their values. None: as the
        graph's inputs declare, or as what follows them needs.

    Returns
    -------
    dict of node name to tuple of int
        In the order of ``graph.nodes``; for an inner graph, the shape that leaves it.

    Raises
    ------
    UnsupportedError
        Lists every node of a type that has no shape rule.
    GraphError
        An edge without its node, a node that nothing reaches, or shapes that do not fit; names the node.
    """
    resolved = resolve(graph, input_shape)
    shapes = {}
    for name, node in graph.nodes.items():
        exits = resolved.flat.exits[str(name)] if isinstance(node, nir.NIRGraph) else (str(name),)
        if len(exits) == 1:
            shapes[name] = resolved.shapes[exits[0]]
    return shapes


def joined_input_shape(graph: nir.NIRGraph) -> Shape:
    """The shape of what enters, without batch and time: that of the one input, or the number of all values.

    Raises
    ------
    UnsupportedError, GraphError
        As :func:`graph_shapes`; or an Input declares no shape and none follows from the nodes after it.
    """
    return joined(resolve(graph).inputs)


def input_shape_of(graph: nir.NIRGraph) -> Shape:
    """The shape of a graph's only input.

    Raises
    ------
    UnsupportedError, GraphError
        As :func:`joined_input_shape`; or there are several.
    """
    shapes = resolve(graph).inputs
    if len(shapes) != 1:
        raise GraphError(f"the graph has {len(shapes)} inputs: {', '.join(shapes)}; one is needed here")
    return next(iter(shapes.values()))


def set_types(graph: nir.NIRGraph, shapes: dict[str, Shape]) -> None:
    """Write the inferred types into the nodes of a flat graph that the caller has just made."""
    source = {b: a for a, b in graph.edges}
    for name, node in graph.nodes.items():
        node.input_type = {"input": np.array(shapes[source.get(name, name)])}
        node.output_type = {"output": np.array(shapes[name])}
    graph.__post_init__()


def resolve(graph: nir.NIRGraph, input_shape: Shape | None = None) -> Resolution:
    """Find the shapes of a graph's inputs, and with them all others; see :func:`graph_shapes`.

    Tried in this order: what the inputs declare, with every parameter of the neurons' exact shape; the same,
    with parameters broadcast; what they declare without its first axes.

    Raises
    ------
    UnsupportedError, GraphError
        As :func:`graph_shapes`; or two readings of the shapes are possible.
    """
    flat = expand(graph)
    _check_nodes(flat)
    wanted = None if input_shape is None else tuple(int(size) for size in input_shape)
    follows: Successors = {name: [] for name in flat.nodes}
    for source, target in flat.edges:
        follows[source].append(target)
    declared, *others = candidate_shapes(flat, follows, wanted)
    attempt = partial(_attempt, flat, follows)
    exact = attempt(declared, exact=True)
    if isinstance(exact, Resolution):
        return exact
    broadcast = attempt(declared, exact=False)
    fewer = _first(attempt(shapes, exact=True) for shapes in others)
    if isinstance(broadcast, GraphError):
        fewer = fewer or _first(attempt(shapes, exact=False) for shapes in others)
        if fewer is None:
            raise broadcast
        return fewer
    if fewer is not None:
        name = next(name for name in declared if fewer.inputs[name] != declared[name])
        raise GraphError(
            f"input {name!r} declares shape {declared[name]}: parameters of the nodes after it can be "
            f"broadcast to that, and also have the shapes for {fewer.inputs[name]}; {REMEDY}"
        )
    return broadcast


def _first(attempts: Iterable[Resolution | GraphError]) -> Resolution | None:
    return next((result for result in attempts if isinstance(result, Resolution)), None)


def _attempt(
    flat: Expanded, follows: Successors, inputs: dict[str, Shape], *, exact: bool
) -> Resolution | GraphError:
    try:
        return _propagate(flat, follows, inputs, exact=exact)
    except GraphError as error:
        return error


def _check_nodes(flat: Expanded) -> None:
    unknown = [
        f"node {name!r} of type {type(node).__name__}"
        for name, node in flat.nodes.items()
        if primitive_of(node) is None
    ]
    if unknown:
        raise UnsupportedError("NIR graph", unknown)
    for kind, names in (("Input", flat.entries[""]), ("Output", flat.exits[""])):
        if not names:
            raise GraphError(f"the graph has no {kind}, and no node where one could be; add one")


def output_shape_of(name: str, node: Any, shape: Shape, *, exact: bool = False) -> Shape:
    """The shape that leaves a node.

    Parameters
    ----------
    name : str
    node : nir node
        It is not changed.
    shape : tuple of int
        What enters.
    exact : bool
        Refuse parameters that have to be broadcast, other than one value for all neurons.

    Raises
    ------
    GraphError
        What enters does not fit, or what leaves is absurdly large; names the node.
    """
    row = primitive_of(node)
    assert row is not None  # noqa: S101  _check_nodes has refused others
    try:
        check_size(shape)
        if exact and isinstance(row.rule, Elementwise):
            row.rule.check_exact(node, shape)
        result = row.rule.leaving(node, shape)
        check_size(result)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise GraphError(f"node {name!r} ({type(node).__name__}): {error}") from None
    return result


def _propagate(flat: Expanded, follows: Successors, inputs: dict[str, Shape], *, exact: bool) -> Resolution:
    shapes = {name: output_shape_of(name, flat.nodes[name], shape) for name, shape in inputs.items()}
    incoming: dict[str, tuple[str, Shape]] = {}
    queue = deque(sorted(inputs))
    while queue:
        name = queue.popleft()
        for target in follows[name]:
            if target not in shapes:
                incoming[target] = (name, shapes[name])
                shapes[target] = output_shape_of(target, flat.nodes[target], shapes[name], exact=exact)
                queue.append(target)
            elif incoming[target][1] != shapes[name]:
                first, shape = incoming[target]
                raise GraphError(
                    f"node {target!r} gets shape {shape} from {first!r} and {shapes[name]} from {name!r}; "
                    "all its inputs must have one shape"
                )
    lost = [name for name in flat.nodes if name not in shapes]
    if lost:
        raise GraphError(
            f"no path from the input reaches {', '.join(map(repr, lost[:10]))}; connect or remove the nodes"
        )
    entering = {name: incoming[name][1] if name in incoming else shapes[name] for name in flat.nodes}
    return Resolution(flat, {name: shapes[name] for name in flat.nodes}, entering)
