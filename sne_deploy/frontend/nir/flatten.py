"""Graphs within graphs, as one flat graph.

Inner nodes are called ``outer.inner``. The Input and Output nodes of inner graphs are their ports: they
vanish, and what leads into one is joined to what follows it. Where a graph has no Input (Output) at all,
every node without incoming (outgoing) edges gets one, called ``input_NODE`` (``output_NODE``), as nir 1.0.8
does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.nodes import with_assumed

Edge = tuple[str, str]
MAX_NESTING = 5
"""Levels of graphs below the outermost; a file may hold no more."""
INNER = "inner_graphs"
"""The metadata that holds that of inner graphs, by their names."""
MAX_JOINED = 10_000
"""Edges that take the place of one port; where there would be more, it becomes a Scale by 1."""


@dataclass
class Expanded:
    """A flat graph in which the ports of inner graphs are still nodes.

    Attributes
    ----------
    nodes : dict of str to node
    edges : list of (str, str)
    ports : set of str
        Input and Output nodes of inner graphs.
    entries, exits : dict of str to tuple of str
        The Input and Output nodes of the outermost graph (key ``""``) and of every inner one, by its name.
    metadata : dict of str to mapping
        Of inner graphs that have some.
    notes : list of str
        Ports that were added.
    """

    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    ports: set[str] = field(default_factory=set)
    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    exits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def inline(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A flat graph that computes the same; the given one and its nodes are not changed.

    Where a value would reach a node twice on joined edges, a Scale by 1 takes the place of a port. Metadata
    of inner graphs is kept as ``metadata["inner_graphs"][NAME]``.

    Raises
    ------
    GraphError
        Too many levels, a clash of names, an edge into or out of an inner graph with several Inputs or
        Outputs, or an edge without its node; names it.
    """
    flat = expand(graph)
    nodes = dict(flat.nodes)
    edges = _Edges(flat)
    for port in sorted(flat.ports):
        if edges.bridge(port):
            del nodes[port]
        else:
            nodes[port] = nir.Scale(np.ones(()))
    metadata = dict(graph.metadata)
    if flat.metadata:
        known = metadata.get(INNER, {})
        metadata[INNER] = {**(known if isinstance(known, Mapping) else {}), **flat.metadata}
    return nir.NIRGraph(nodes, edges.listed(), metadata=metadata, type_check=False)


class _Edges:
    """A flat graph's edges, from both ends."""

    def __init__(self, flat: Expanded) -> None:
        self.after: dict[str, dict[str, None]] = {name: {} for name in flat.nodes}
        self.before: dict[str, dict[str, None]] = {name: {} for name in flat.nodes}
        for source, target in flat.edges:
            self.after[source][target] = self.before[target][source] = None

    def bridge(self, port: str) -> bool:
        """Join the edges that meet at a port; False, and nothing changed, where one would be there twice."""
        sources, targets = self.before[port], self.after[port]
        if port in sources:
            raise GraphError(f"the graph's port {port!r} leads straight back to itself; put a node between")
        if len(sources) * len(targets) > MAX_JOINED or any(
            target in self.after[source] for source in sources for target in targets
        ):
            return False
        for source in sources:
            del self.after[source][port]
            self.after[source].update(targets)
        for target in targets:
            del self.before[target][port]
            self.before[target].update(sources)
        del self.after[port], self.before[port]
        return True

    def listed(self) -> list[Edge]:
        return [(source, target) for source, targets in self.after.items() for target in targets]


def expand(graph: nir.NIRGraph) -> Expanded:
    """Lift every inner node to the outermost level; see :class:`Expanded`.

    Raises
    ------
    GraphError
        As for :func:`inline`.
    """
    flat = Expanded()
    _lift(graph, "", flat, 0)
    return flat


def _lift(graph: nir.NIRGraph, prefix: str, flat: Expanded, level: int) -> None:
    """Add the nodes and edges of a graph; ``prefix`` is the name of an inner one."""
    where = f"graph {prefix!r}: " if prefix else ""
    if level > MAX_NESTING:
        raise GraphError(f"graphs are nested deeper than {MAX_NESTING} levels at {prefix!r}; inline some")
    nodes, edges = _completed(graph, where, flat)
    names = {name: f"{prefix}.{name}" if prefix else name for name in nodes}
    for name, node in nodes.items():
        if isinstance(node, nir.NIRGraph):
            if node.metadata:
                flat.metadata[names[name]] = node.metadata
            _lift(node, names[name], flat, level + 1)
            continue
        if names[name] in flat.nodes:
            raise GraphError(
                f"two nodes are called {names[name]!r} once inner graphs are inlined; rename one of them"
            )
        flat.nodes[names[name]] = with_assumed(node)
        if level and isinstance(node, (nir.Input, nir.Output)):
            flat.ports.add(names[name])
    flat.entries[prefix] = tuple(names[n] for n, node in nodes.items() if isinstance(node, nir.Input))
    flat.exits[prefix] = tuple(names[n] for n, node in nodes.items() if isinstance(node, nir.Output))
    for source, target in edges:
        flat.edges.append(
            (
                _end(names[source], nodes[source], flat.exits, "out of", "Outputs"),
                _end(names[target], nodes[target], flat.entries, "into", "Inputs"),
            )
        )


def _end(name: str, node: Any, ports: Mapping[str, tuple[str, ...]], way: str, kind: str) -> str:
    """Where an edge ends in the flat graph."""
    if not isinstance(node, nir.NIRGraph):
        return name
    found = ports[name]
    if len(found) != 1:
        raise GraphError(
            f"an edge leads {way} graph {name!r}, which has {len(found)} {kind}; an edge names no port, so "
            "there must be exactly one: inline the graph, or divide it"
        )
    return found[0]


def _completed(graph: nir.NIRGraph, where: str, flat: Expanded) -> tuple[dict[str, Any], list[Edge]]:
    """A graph's nodes and edges, checked, with the Inputs or Outputs that it lacks."""
    if not (isinstance(graph.nodes, Mapping) and isinstance(graph.edges, (list, tuple, set, frozenset))):
        raise GraphError(f"{where}nodes must be a dict, and edges a list of pairs of names")
    nodes = _named_nodes(graph.nodes, where)
    edges = _checked_edges(nodes, graph.edges, where)
    entered, left = {b for _, b in edges}, {a for a, _ in edges}
    if not any(isinstance(node, nir.Input) for node in nodes.values()):
        roots = [name for name in nodes if name not in entered]
        edges += [(_added(nodes, f"input_{name}", nir.Input(None), where, flat), name) for name in roots]
    if not any(isinstance(node, nir.Output) for node in nodes.values()):
        leaves = [name for name in nodes if name not in left and not isinstance(nodes[name], nir.Input)]
        edges += [(name, _added(nodes, f"output_{name}", nir.Output(None), where, flat)) for name in leaves]
    return nodes, edges


def _added(nodes: dict[str, Any], wanted: str, node: Any, where: str, flat: Expanded) -> str:
    name, suffix = wanted, 0
    while name in nodes:
        name, suffix = f"{wanted}_{suffix}", suffix + 1
    nodes[name] = node
    flat.notes.append(f"{where}the graph has no {type(node).__name__}; {name!r} was added, as nir 1.0.8 does")
    return name


def _named_nodes(nodes: Mapping[Any, Any], where: str) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for key, node in nodes.items():
        if node is None:
            raise GraphError(
                f"{where}node {str(key)!r} is None: its exporter did not know the module (Norse 1.1.0 does so"
                " with AvgPool2d, Flatten, BatchNorm, LICell, LIFRecurrentCell and others); export with "
                "sne-deploy"
            )
        if not isinstance(getattr(node, "metadata", {}), Mapping):
            raise GraphError(f"{where}node {str(key)!r}: metadata must be a dict; write an empty one")
        if str(key) in named:
            raise GraphError(f"{where}two nodes are called {str(key)!r}; rename one of them")
        named[str(key)] = node
    return named


def _checked_edges(nodes: Mapping[str, Any], edges: Iterable[Any], where: str) -> list[Edge]:
    checked: dict[Edge, None] = {}
    for pair in edges:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise GraphError(f"{where}edge {str(pair)[:100]!r} is no pair of names")
        source, target = (str(name) for name in pair)
        shown = f"{where}edge {source!r} -> {target!r}"
        for name in (source, target):
            if name not in nodes:
                raise GraphError(f"{shown} names {name!r}, which is not a node")
        if isinstance(nodes[target], nir.Input):
            raise GraphError(f"{shown} ends on the graph's input; remove it")
        if isinstance(nodes[source], nir.Output):
            raise GraphError(f"{shown}: an edge leaves the graph's output {source!r}; remove it")
        if (source, target) in checked:
            raise GraphError(f"{shown} is there twice; remove one")
        checked[source, target] = None
    return list(checked)
