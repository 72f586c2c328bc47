"""The manner of reset that a user asks for, written into a graph; see :mod:`sne_deploy.neurons.resets`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import nir

from sne_deploy.errors import InputError
from sne_deploy.frontend.nir.neuron_nodes import fires

ResetMode = Literal["value", "value-delayed", "subtract", "subtract-delayed", "none"]
Resets = ResetMode | Mapping[str, ResetMode]
"""For all nodes, or by their names; the name ``"*"`` stands for all others."""
ALL = "*"


def metadata_of(mode: ResetMode) -> dict[str, str | bool]:
    """The metadata that says a mode."""
    manner, _, delayed = mode.partition("-")
    return {"reset": manner, "reset_delayed": True} if delayed else {"reset": manner}


def by_name(resets: Resets) -> Mapping[str, ResetMode]:
    """What a user said, by nodes' names.

    Raises
    ------
    InputError
        An unknown mode.
    """
    named: Mapping[str, Any] = resets if isinstance(resets, Mapping) else {ALL: resets}
    for name, mode in named.items():
        if not isinstance(mode, str) or mode not in get_args(ResetMode):
            of = "" if name == ALL else f" of node {name!r:.100}"
            raise InputError(f"unknown reset {mode!r:.100}{of}; known: {', '.join(get_args(ResetMode))}")
    return named


def with_resets(graph: nir.NIRGraph, resets: Resets) -> nir.NIRGraph:
    """The same graph, flat, with these resets in the metadata of its spiking nodes.

    A mode for all is that of the nodes whose metadata does not say; one that is named must not say another.

    Raises
    ------
    InputError
        An unknown mode, or a node that says itself that it has another.
    """
    named = by_name(resets)
    nodes = {name: _with_reset(name, node, named) for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, list(graph.edges), metadata=dict(graph.metadata), type_check=False)


def _with_reset(name: str, node: Any, named: Mapping[str, ResetMode]) -> Any:
    mode = named.get(name, named.get(ALL))
    if mode is None or not fires(node):
        return node
    said = {key: node.metadata[key] for key in ("reset", "reset_delayed") if key in node.metadata}
    if said:
        if name in named and said != metadata_of(mode):
            raise InputError(
                f"node {name!r}: reset {mode!r} was given, but its metadata says {said}; leave it out"
            )
        return node
    fields = {
        field: value for field, value in vars(node).items() if field not in ("input_type", "output_type")
    }
    return type(node)(**{**fields, "metadata": {**node.metadata, **metadata_of(mode)}})


def check_names(graphs: Iterable[nir.NIRGraph], resets: Resets) -> None:
    """Check that every node that is named spikes in one of the graphs, which are flat.

    Raises
    ------
    InputError
    """
    firing = [name for graph in graphs for name, node in graph.nodes.items() if fires(node)]
    for name in by_name(resets):
        if name != ALL and name not in firing:
            known = ", ".join(repr(each) for each in dict.fromkeys(firing))[:300]
            raise InputError(f"reset: no node with a reset is called {name!r:.100}; these have one: {known}")
