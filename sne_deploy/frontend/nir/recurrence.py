"""Recurrent layers whose exporter led their input through the recurrent matrix."""

from __future__ import annotations

from copy import copy
from typing import Any

import nir

from sne_deploy.frontend.nir.neuron_nodes import fires
from sne_deploy.frontend.nir.normalise import normalise


def through_recurrence(graph: nir.NIRGraph) -> dict[str, str]:
    """Square matrices between neurons and the same neurons, that also take these neurons' input.

    Parameters
    ----------
    graph : nir.NIRGraph
        Normalised.

    Returns
    -------
    dict of str to str
        From each such matrix to its neurons, which have no other input.
    """
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        sources[target].append(source)
        targets[source].append(target)
    return {
        name: targets[name][0]
        for name, node in graph.nodes.items()
        if isinstance(node, (nir.Linear, nir.Affine))
        and len(targets[name]) == 1
        and fires(graph.nodes[targets[name][0]])
        and sources[targets[name][0]] == [name]
        and targets[name][0] in sources[name]
        and len(sources[name]) > 1
    }


def with_straight_input(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same graph in which the input of such neurons goes straight to them."""
    matrices = through_recurrence(graph)
    if not matrices:
        return graph
    edges = [
        (source, matrices[target] if target in matrices and source != matrices[target] else target)
        for source, target in graph.edges
    ]
    nodes: dict[str, Any] = {name: copy(node) for name, node in graph.nodes.items()}
    return normalise(nir.NIRGraph(nodes, edges, metadata=dict(graph.metadata), type_check=False))
