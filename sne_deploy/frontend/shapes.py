"""Output shape of every node of a NIR graph: our own inference.

NIR 1.0.8's own changes the graph that it checks, takes every kernel as square, and takes the input channels
of a grouped convolution for those of one group. This one reads and never writes. Parameters may be broadcast
to the shape that reaches their neurons. What an Input or Output declares may have axes too many at its front:
exporters that trace a sample write its batch and time axes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.broadcast import PARAMETERS
from sne_deploy.frontend.flatten import Expanded, expand
from sne_deploy.frontend.geometry import Shape
from sne_deploy.frontend.shape_rules import RULES, conv_node_geometry, declared_shape, output_shape_of

__all__ = [
    "NEURON_TYPES",
    "Resolution",
    "conv_node_geometry",
    "graph_shapes",
    "input_shape_of",
    "input_shapes_of",
    "joined_input_shape",
    "resolve",
    "set_types",
]
NEURON_TYPES = (nir.CubaLIF, nir.CubaLI, nir.LIF, nir.LI, nir.IF, nir.I)
"""Nodes with a state per neuron."""
_REMEDY = "give it one: --input-shape, or input_shape="


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


def input_shapes_of(graph: nir.NIRGraph) -> dict[str, Shape]:
    """The shape of every input, without batch and time, in the order of their names.

    Raises
    ------
    UnsupportedError, GraphError
        As :func:`graph_shapes`; or an Input declares no shape and none follows from the nodes after it.
    """
    return resolve(graph).inputs


def joined_input_shape(graph: nir.NIRGraph) -> Shape:
    """The shape of what enters: that of the one input, or the number of all inputs' values.

    Raises
    ------
    UnsupportedError, GraphError
        As :func:`input_shapes_of`.
    """
    return _joined(input_shapes_of(graph))


def input_shape_of(graph: nir.NIRGraph) -> Shape:
    """The shape of a graph's only input.

    Raises
    ------
    UnsupportedError, GraphError
        As :func:`input_shapes_of`; or there are several.
    """
    shapes = input_shapes_of(graph)
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
    follows = _Successors(flat)
    fixed, declared = _input_shapes(flat, follows, wanted)
    candidates = [{**fixed, **shapes} for shapes in _without_first_axes(declared)]
    found = [
        _attempt(flat, follows, candidates[0], exact=True),
        _attempt(flat, follows, candidates[0], exact=False),
    ]
    if isinstance(found[0], Resolution):
        return found[0]
    fewer = _first(lambda shapes: _attempt(flat, follows, shapes, exact=True), candidates[1:])
    if isinstance(found[1], Resolution):
        if fewer is not None:
            name = next(name for name in fewer.inputs if fewer.inputs[name] != candidates[0][name])
            raise GraphError(
                f"input {name!r} declares shape {candidates[0][name]}: parameters of the nodes after it can "
                f"be broadcast to that, and also have the shapes for {fewer.inputs[name]}; {_REMEDY}"
            )
        return found[1]
    fewer = fewer or _first(lambda shapes: _attempt(flat, follows, shapes, exact=False), candidates[1:])
    if fewer is None:
        raise found[1]
    return fewer


def _first(attempt: Callable[[Any], Resolution | GraphError], candidates: list[Any]) -> Resolution | None:
    results = (attempt(candidate) for candidate in candidates)
    return next((result for result in results if isinstance(result, Resolution)), None)


def _attempt(
    flat: Expanded, follows: _Successors, inputs: dict[str, Shape], *, exact: bool
) -> Resolution | GraphError:
    try:
        return _propagate(flat, follows, inputs, exact=exact)
    except GraphError as error:
        return error


class _Successors(dict[str, list[str]]):
    """The targets of each node's edges."""

    def __init__(self, flat: Expanded) -> None:
        super().__init__({name: [] for name in flat.nodes})
        for source, target in flat.edges:
            self[source].append(target)


def _check_nodes(flat: Expanded) -> None:
    unknown = [
        f"node {name!r} of type {type(node).__name__}"
        for name, node in flat.nodes.items()
        if type(node) not in RULES
    ]
    if unknown:
        raise UnsupportedError("NIR graph", unknown)
    for kind, names in (("Input", flat.entries[""]), ("Output", flat.exits[""])):
        if not names:
            raise GraphError(f"the graph has no {kind}, and no node where one could be; add one")


def _input_shapes(
    flat: Expanded, follows: _Successors, wanted: Shape | None
) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Shapes of inputs that are certain, and those that are declared."""
    names = sorted(flat.entries[""])
    declared = {name: declared_shape(flat.nodes[name]) for name in names}
    if wanted is not None and len(names) == 1:
        return {names[0]: wanted}, {}
    fixed: dict[str, Shape] = {}
    for name in names:
        if declared[name] is None:
            needed = _needed(name, flat, follows)
            if needed is None:
                raise GraphError(
                    f"input {name!r} declares no shape, and none follows from the nodes after it; {_REMEDY}"
                )
            fixed[name] = needed
    known = {name: shape for name, shape in declared.items() if shape is not None}
    joined = _joined({**fixed, **known})
    if wanted not in (None, joined):
        raise GraphError(
            f"the graph's {len(names)} inputs have {joined[0]} values together, not shape {wanted}; "
            f"give ({joined[0]},)"
        )
    return fixed, known


def _joined(shapes: dict[str, Shape]) -> Shape:
    if len(shapes) == 1:
        return next(iter(shapes.values()))
    return (sum(math.prod(shape) for shape in shapes.values()),)


def _without_first_axes(declared: dict[str, Shape]) -> Iterator[dict[str, Shape]]:
    """What is declared, then without the first axis, the first two, ... as long as one is left."""
    yield declared
    for count in range(1, max((len(shape) for shape in declared.values()), default=1)):
        yield {name: shape[count:] or shape[-1:] for name, shape in declared.items()}


def _needed(name: str, flat: Expanded, follows: _Successors) -> Shape | None:
    """The shape that the nodes after an input need, if one of them says; one value alone says least."""
    queue, seen, weak = deque(follows[name]), {name}, None
    while queue:
        target = queue.popleft()
        if target in seen:
            continue
        seen.add(target)
        node = flat.nodes[target]
        shape, passes = _own_input_shape(node)
        if shape is not None and math.prod(shape) > 1:
            return shape
        weak = weak or shape or None
        if passes:
            queue.extend(follows[target])
    return weak


def _own_input_shape(node: Any) -> tuple[Shape | None, bool]:
    """What a node's fields say of the shape that enters it, and whether that shape leaves it unchanged."""
    if isinstance(node, (nir.Linear, nir.Affine)):
        return tuple(int(n) for n in np.shape(node.weight)[1:]), False
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        if node.input_shape is None:
            return None, False
        sizes = (int(n) for n in np.atleast_1d(node.input_shape))
        return (int(np.shape(node.weight)[1] * np.asarray(node.groups).item()), *sizes), False
    if isinstance(node, (nir.Input, nir.Output)):
        return declared_shape(node), True
    if isinstance(node, nir.Flatten):
        declared = declared_shape(node)
        return (declared if declared and all(declared) else None), False
    if type(node) in PARAMETERS:
        fields = (np.shape(getattr(node, field)) for field in PARAMETERS[type(node)])
        return max(fields, key=lambda shape: (math.prod(shape), len(shape))), True
    return None, False


def _propagate(flat: Expanded, follows: _Successors, inputs: dict[str, Shape], *, exact: bool) -> Resolution:
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
