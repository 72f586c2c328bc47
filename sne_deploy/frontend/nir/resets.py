"""The manner of reset that a user asks for, written into a graph; see :mod:`sne_deploy.neurons.resets`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import nir

from sne_deploy.errors import InputError
from sne_deploy.frontend.nir.neuron_nodes import fires

ResetMode = Literal["value", "subtract", "subtract-delayed"]
RESETS: Mapping[ResetMode, Mapping[str, str | bool]] = {
    "value": {"reset": "value"},
    "subtract": {"reset": "subtract"},
    "subtract-delayed": {"reset": "subtract", "reset_delayed": True},
}
"""What a user may ask for, and the metadata that says it."""


def with_reset(graph: nir.NIRGraph, mode: ResetMode) -> nir.NIRGraph:
    """The same graph with this reset at every spiking node whose metadata does not say.

    Raises
    ------
    InputError
        An unknown mode.
    """
    if mode not in RESETS:
        raise InputError(f"unknown reset {mode!r}; known: {', '.join(RESETS)}")
    nodes = {name: _with_mode(node, mode) for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, list(graph.edges), metadata=dict(graph.metadata), type_check=False)


def _with_mode(node: Any, mode: ResetMode) -> Any:
    if isinstance(node, nir.NIRGraph):
        return with_reset(node, mode)
    if not fires(node) or "reset" in node.metadata:
        return node
    fields = {name: value for name, value in vars(node).items() if name not in ("input_type", "output_type")}
    return type(node)(**{**fields, "metadata": {**node.metadata, **RESETS[mode]}})
