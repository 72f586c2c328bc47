"""A graph's nodes and edges, with what was compiled of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import nir

from sne_deploy.errors import SneError
from sne_deploy.frontend.nir.neuron_nodes import NEURONS, integrates
from sne_deploy.frontend.nir.shapes import resolve
from sne_deploy.frontend.nir.topology import Edge, execution_order
from sne_deploy.inspect.node_text import box_kind, node_detail, stored_numbers
from sne_deploy.inspect.views import ConnectionView, EdgeView, NodeView
from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.program import ALWAYS_ON
from sne_deploy.passes.lower_maps import LINEAR_NODES

Shape = tuple[int, ...]


def graph_views(
    graph: nir.NIRGraph, input_shape: Shape | None, connections: Sequence[ConnectionView]
) -> tuple[tuple[NodeView, ...], tuple[EdgeView, ...]]:
    """Nodes, sources first, and edges.

    Parameters
    ----------
    graph : nir.NIRGraph
        Flat.
    input_shape : tuple of int or None
        None: as the graph declares.
    connections : sequence of ConnectionView
        What was compiled; empty where nothing was.
    """
    topology = execution_order(graph)
    entering, leaving = _shapes(graph, input_shape)
    edges = sorted({(str(a), str(b)) for a, b in graph.edges})
    into: dict[str, list[ConnectionView]] = {}
    for connection in connections:
        into.setdefault(connection.target, []).append(connection)
    nodes = tuple(
        _node_view(name, graph.nodes[name], entering.get(name), leaving.get(name), edges, into)
        for name in topology.order
    )
    labels = _labels(graph, edges, into)
    views = tuple(EdgeView(a, b, (a, b) in topology.back_edges, labels.get((a, b), "")) for a, b in edges)
    return nodes, views


def _shapes(graph: nir.NIRGraph, input_shape: Shape | None) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """What enters and what leaves every node; nothing where shapes do not fit, which compiling reports."""
    try:
        resolved = resolve(graph, input_shape)
    except SneError:
        return {}, {}
    return resolved.entering, resolved.shapes


def _node_view(
    name: str,
    node: Any,
    entering: Shape | None,
    leaving: Shape | None,
    edges: Sequence[Edge],
    into: Mapping[str, Sequence[ConnectionView]],
) -> NodeView:
    synaptic = [c.synapses for c in into.get(name, ()) if not c.host]
    return NodeView(
        name=name,
        type=type(node).__name__,
        kind=box_kind(node),
        detail=node_detail(name, node),
        shape=leaving,
        parameters=stored_numbers(node),
        neurons=math.prod(leaving) if type(node) in NEURONS and leaving else 0,
        connections=_connections(name, node, entering, leaving),
        synapses=sum(synaptic) if synaptic else None,
        targets=tuple(b for a, b in edges if a == name),
    )


def _connections(name: str, node: Any, entering: Shape | None, leaving: Shape | None) -> int | None:
    """Pairs that a linear map joins; None for other nodes and for maps that only reshape."""
    if type(node) not in LINEAR_NODES or entering is None or leaving is None:
        return None
    weights = LINEAR_NODES[type(node)](name, node, entering, leaving).weights
    return None if weights is None else int(fan_out(weights).sum())


def _labels(
    graph: nir.NIRGraph, edges: Sequence[Edge], into: Mapping[str, Sequence[ConnectionView]]
) -> dict[Edge, str]:
    """What every edge into a neuron group was compiled to, and how long delays are."""
    sources: dict[str, list[str]] = {}
    for source, target in edges:
        sources.setdefault(target, []).append(source)
    labels: dict[Edge, str] = {}
    for group, found in into.items():
        entry = _entry(graph, sources, group)
        for source in sources.get(entry, ()):
            own = [
                c
                for c in found
                if c.source != ALWAYS_ON and _last_node(graph, sources, sources[entry], c) == source
            ]
            if own:
                labels[source, entry] = _label(own)
    return labels


def _entry(graph: nir.NIRGraph, sources: Mapping[str, Sequence[str]], group: str) -> str:
    """The node that a group's synapses end on: a Threshold was compiled with the integrator before it."""
    before = sources.get(group, ())
    if isinstance(graph.nodes[group], nir.Threshold) and len(before) == 1:
        fused = integrates(graph.nodes[before[0]])
        return before[0] if fused else group
    return group


def _last_node(
    graph: nir.NIRGraph,
    sources: Mapping[str, Sequence[str]],
    before: Sequence[str],
    connection: ConnectionView,
) -> str | None:
    """The one of the nodes right before a group through which a connection comes; None where several are."""
    if len(before) == 1:
        return before[0]
    able = [name for name in before if connection.source in _heard(graph, sources, name)]
    return able[0] if len(able) == 1 else None


def _heard(graph: nir.NIRGraph, sources: Mapping[str, Sequence[str]], name: str) -> set[str]:
    """The neuron groups and inputs whose spikes a node hands on."""
    heard: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if type(graph.nodes[current]) in NEURONS or isinstance(graph.nodes[current], nir.Input):
            heard.add(current)
        else:
            waiting.extend(sources.get(current, ()))
    return heard


def _label(found: Sequence[ConnectionView]) -> str:
    parts = []
    synapses = sum(c.synapses for c in found if not c.host)
    macs = sum(c.synapses for c in found if c.host)
    if macs:
        parts.append(f"host: {macs:,} MAC")
    if synapses or not macs:
        parts.append(f"{synapses:,} synapse{'' if synapses == 1 else 's'}")
    delays = sorted({c.delay for c in found if not c.host})
    if any(delays):
        parts.append(f"delay {delays[0]}" if len(delays) == 1 else f"delay {delays[0]} .. {delays[-1]}")
    late = max(c.late for c in found)
    if late:
        parts.append(f"{late} late")
    return ", ".join(parts)
