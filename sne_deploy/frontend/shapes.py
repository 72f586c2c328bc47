"""Output shape of every node of a NIR graph: our own inference.

NIR 1.0.8's own changes the graph that it checks, takes every kernel as square, and takes the input
channels of a grouped convolution for those of one group. This one reads and never writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.geometry import Shape, flattened, same_padding, window_sizes

NEURON_TYPES = (nir.CubaLIF, nir.CubaLI, nir.LIF, nir.LI, nir.IF, nir.I)
"""Nodes with a state per neuron."""
_PARAMETERS = (
    "tau",
    "tau_mem",
    "tau_syn",
    "r",
    "v_leak",
    "v_threshold",
    "v_reset",
    "w_in",
    "threshold",
    "delay",
)


def graph_shapes(graph: nir.NIRGraph, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Infer the output shape of every node, for one sample at one step.

    Edges may come in any order and may form cycles; where several edges meet, their shapes must agree.

    Parameters
    ----------
    graph : nir.NIRGraph
        With exactly one Input and one Output; it is not changed.
    input_shape : tuple of int
        What enters, without batch and time.

    Returns
    -------
    dict of node name to tuple of int
        In the order of ``graph.nodes``.

    Raises
    ------
    UnsupportedError
        Lists every node of a type that has no shape rule.
    GraphError
        An edge without its node, a node that nothing reaches, or shapes that do not fit; names the node.
    """
    source = _check_structure(graph)
    successors: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        successors[a].append(b)
    shapes = {source: _apply(source, graph.nodes[source], tuple(int(n) for n in input_shape))}
    incoming: dict[str, tuple[str, Shape]] = {}
    queue = deque([source])
    while queue:
        name = queue.popleft()
        for target in successors[name]:
            if target not in shapes:
                incoming[target] = (name, shapes[name])
                shapes[target] = _apply(target, graph.nodes[target], shapes[name])
                queue.append(target)
            elif target not in incoming:
                raise GraphError(f"edge {name!r} -> {target!r} ends on the graph's input; remove it")
            elif incoming[target][1] != shapes[name]:
                first, shape = incoming[target]
                raise GraphError(
                    f"node {target!r} gets shape {shape} from {first!r} and {shapes[name]} from {name!r}; "
                    "all its inputs must have one shape"
                )
    lost = [name for name in graph.nodes if name not in shapes]
    if lost:
        raise GraphError(
            f"no path from the input reaches {', '.join(map(repr, lost[:10]))}; connect or remove the nodes"
        )
    return {name: shapes[name] for name in graph.nodes}


def set_types(graph: nir.NIRGraph, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write the inferred types into the nodes of a graph that the caller has just made."""
    source = {b: a for a, b in graph.edges}
    for name, node in graph.nodes.items():
        node.input_type = {"input": np.array(shapes[source.get(name, name)])}
        node.output_type = {"output": np.array(shapes[name])}
    graph.__post_init__()


def input_shape_of(graph: nir.NIRGraph) -> tuple[int, ...]:
    """The shape that the graph's Input node declares.

    Raises
    ------
    GraphError
        There is not exactly one Input, or it declares none.
    """
    shape = graph.nodes[_only(graph, nir.Input)].input_type["input"]
    if shape is None:
        raise GraphError("the graph's Input declares no shape; give it one")
    return tuple(int(n) for n in np.atleast_1d(shape))


def _check_structure(graph: nir.NIRGraph) -> str:
    unknown = [
        f"node {name!r} of type {type(node).__name__}{_HINTS.get(type(node), '')}"
        for name, node in graph.nodes.items()
        if type(node) not in _RULES
    ]
    if unknown:
        raise UnsupportedError("NIR graph", unknown)
    seen = set()
    for edge in graph.edges:
        for name in edge:
            if name not in graph.nodes:
                raise GraphError(f"edge {edge[0]!r} -> {edge[1]!r} names {name!r}, which is not a node")
        if tuple(edge) in seen:
            raise GraphError(f"edge {edge[0]!r} -> {edge[1]!r} is there twice; remove one")
        seen.add(tuple(edge))
    output = _only(graph, nir.Output)
    if any(a == output for a, _ in graph.edges):
        raise GraphError(f"an edge leaves the graph's output {output!r}; remove it")
    return _only(graph, nir.Input)


def _only(graph: nir.NIRGraph, kind: type) -> str:
    names = [str(name) for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise GraphError(f"the graph has {len(names)} {kind.__name__} nodes, exactly one is supported")
    return names[0]


def _apply(name: str, node: Any, shape: Shape) -> Shape:
    try:
        return _RULES[type(node)](node, shape)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise GraphError(f"node {name!r} ({type(node).__name__}): {error}") from None


def _declared(node: Any, shape: Shape) -> Shape:
    declared = next(iter(node.input_type.values()))
    if declared is not None and tuple(int(n) for n in np.atleast_1d(declared)) != shape:
        raise ValueError(f"gets shape {shape}, declares {tuple(int(n) for n in np.atleast_1d(declared))}")
    return shape


def _elementwise(node: Any, shape: Shape) -> Shape:
    for field in _PARAMETERS:
        if hasattr(node, field) and np.shape(getattr(node, field)) != shape:
            raise ValueError(
                f"gets shape {shape}, its {field} has {np.shape(getattr(node, field))}; "
                "parameters must have the shape of the neurons"
            )
    return shape


def _scale(node: Any, shape: Shape) -> Shape:
    if np.shape(node.scale) != shape:
        raise ValueError(f"gets shape {shape}, its scale has {np.shape(node.scale)}")
    return shape


def _matrix(node: Any, shape: Shape) -> Shape:
    weight = np.shape(node.weight)
    if len(weight) != 2:
        raise ValueError(f"weight has shape {weight}, must be a matrix")
    if shape != (weight[1],):
        raise ValueError(f"gets shape {shape}, weight {weight} needs ({weight[1]},)")
    if hasattr(node, "bias") and np.shape(node.bias) != (weight[0],):
        raise ValueError(f"bias has shape {np.shape(node.bias)}, weight {weight} needs ({weight[0]},)")
    return (int(weight[0]),)


def conv_node_geometry(node: nir.Conv1d | nir.Conv2d) -> tuple[Shape, Shape, Shape, int]:
    """Stride, padding and dilation (one entry per axis) and groups; ``'same'`` and ``'valid'`` are resolved.

    Raises
    ------
    ValueError
        An entry is missing, too small, or ``'same'`` would pad the two sides differently.
    """
    kernel = tuple(int(k) for k in np.shape(node.weight)[2:])
    stride, dilation = _ints(node.stride, len(kernel), 1), _ints(node.dilation, len(kernel), 1)
    if isinstance(node.padding, str):
        padding = _named_padding(node.padding, kernel, dilation, stride)
    else:
        padding = _ints(node.padding, len(kernel), 0)
    return stride, padding, dilation, _ints(node.groups, 1, 1)[0]


def _named_padding(name: str, kernel: Shape, dilation: Shape, stride: Shape) -> Shape:
    if name not in ("same", "valid"):
        raise ValueError(f"padding {name!r} is not one of same, valid")
    if name == "valid":
        return (0,) * len(kernel)
    padding = same_padding(kernel, dilation)
    if padding is None or any(s != 1 for s in stride):
        raise ValueError(
            f"padding 'same' with kernel {kernel}, dilation {dilation}, stride {stride} is not symmetric; "
            "give the padding in numbers"
        )
    return padding


def _conv(node: Any, shape: Shape) -> Shape:
    weight = np.shape(node.weight)
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    if len(weight) != axes + 2:
        raise ValueError(f"weight has shape {weight}, must have {axes + 2} axes")
    stride, padding, dilation, groups = conv_node_geometry(node)
    if len(shape) != axes + 1 or shape[0] != weight[1] * groups:
        raise ValueError(
            f"gets shape {shape}, weight {weight} with {groups} groups needs {weight[1] * groups} channels "
            f"and {axes} more axes"
        )
    if weight[0] % groups:
        raise ValueError(f"{groups} groups do not divide the {weight[0]} output channels")
    if np.shape(node.bias) != (weight[0],):
        raise ValueError(f"bias has shape {np.shape(node.bias)}, weight {weight} needs ({weight[0]},)")
    sizes = window_sizes(shape[1:], weight[2:], stride, padding, dilation)
    return _fits((int(weight[0]), *sizes), shape, weight[2:])


def _pool(node: Any, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ValueError(f"gets shape {shape}, needs (channels, height, width)")
    kernel, stride = _ints(node.kernel_size, 2, 1), _ints(node.stride, 2, 1)
    padding = _ints(node.padding, 2, 0)
    return _fits((shape[0], *window_sizes(shape[1:], kernel, stride, padding, (1, 1))), shape, kernel)


def _flatten(node: Any, shape: Shape) -> Shape:
    _declared(node, shape)
    start, end = (int(dim) + (len(shape) if dim < 0 else 0) for dim in (node.start_dim, node.end_dim))
    try:
        return flattened(shape, start, end)
    except ValueError:
        raise ValueError(
            f"start_dim={int(node.start_dim)} to end_dim={int(node.end_dim)} are not axes of shape {shape}"
        ) from None


def _ints(value: Any, length: int, minimum: int) -> Shape:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size not in (1, length):
        raise ValueError(f"{value!r} must be 1 or {length} ints")
    entries = tuple(int(n) for n in np.broadcast_to(array.reshape(-1), (length,)))
    if min(entries) < minimum:
        raise ValueError(f"{entries} must be at least {minimum}")
    return entries


def _fits(result: Shape, shape: Shape, kernel: Shape) -> Shape:
    if min(result) < 1:
        raise ValueError(f"a kernel of {tuple(kernel)} does not fit an input of shape {shape}")
    return result


_RULES: dict[type, Callable[[Any, Shape], Shape]] = {
    nir.Input: _declared,
    nir.Output: _declared,
    nir.Affine: _matrix,
    nir.Linear: _matrix,
    nir.Scale: _scale,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.SumPool2d: _pool,
    nir.AvgPool2d: _pool,
    nir.Flatten: _flatten,
    nir.Threshold: _elementwise,
    nir.Delay: _elementwise,
    **dict.fromkeys(NEURON_TYPES, _elementwise),
}
_HINTS = {nir.NIRGraph: " (inline the nested graph)"}
