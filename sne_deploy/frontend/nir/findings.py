"""What reading a graph found that its author may want to know: nothing that is wrong, which is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from sne_deploy.frontend.nir.arrays import as_array
from sne_deploy.frontend.nir.normalise import normalised
from sne_deploy.frontend.nir.primitives import parameters_of
from sne_deploy.frontend.nir.readouts import never_fires, readout_note
from sne_deploy.frontend.nir.rules import declared_shape, is_leading
from sne_deploy.frontend.nir.shapes import Resolution, resolve
from sne_deploy.model.layers.geometry import Shape


def examine(graph: nir.NIRGraph, input_shape: Shape | None = None) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """Normalise a graph, and say what was read otherwise than it declares.

    Parameters
    ----------
    graph : nir.NIRGraph
    input_shape : tuple of int or None
        As for :func:`sne_deploy.frontend.nir.shapes.graph_shapes`.

    Returns
    -------
    graph : nir.NIRGraph
        As :func:`sne_deploy.frontend.nir.normalise.normalise` makes it.
    notes : tuple of str

    Raises
    ------
    UnsupportedError, GraphError
        As :func:`sne_deploy.frontend.nir.normalise.normalise`.
    """
    resolved = resolve(graph, input_shape)
    made = normalised(graph, resolved)
    return made, (*resolved.flat.notes, *_shape_notes(resolved), *_dead_ends(made))


def _shape_notes(resolved: Resolution) -> Iterator[str]:
    for name, node in resolved.flat.nodes.items():
        shape = resolved.entering[name]
        if never_fires(node):
            yield readout_note(name, node)
        yield from _node_notes(f"node {name!r} ({type(node).__name__})", node, shape)


def _node_notes(where: str, node: Any, shape: Shape) -> Iterator[str]:
    declared = declared_shape(node) if isinstance(node, (nir.Input, nir.Output, nir.Flatten)) else None
    if declared is not None and is_leading(declared, shape):
        axes = "axis" if len(declared) == len(shape) + 1 else "axes"
        yield f"{where} declares shape {declared}; read as {shape}, its first {axes} taken for batch or time"
    elif isinstance(node, nir.Flatten) and declared is not None and declared != shape:
        yield f"{where} declares {declared}, a placeholder; it flattens {shape}, with a batch axis before"
    if isinstance(node, (nir.Conv1d, nir.Conv2d)) and node.input_shape is not None:
        sizes = tuple(int(n) for n in np.atleast_1d(node.input_shape))
        if sizes != shape[1:]:
            yield (
                f"{where} declares an input of {sizes}, and gets {shape[1:]}, which is used; nir 1.0.8 sizes "
                "every kernel as square"
            )
    for field in parameters_of(node):
        if len(np.shape(getattr(node, field))) > len(shape) and as_array(getattr(node, field)).size > 1:
            yield (
                f"{where}: its {field} has shape {np.shape(getattr(node, field))} and the same values "
                f"throughout the first axes; read as {shape}"
            )


def _dead_ends(graph: nir.NIRGraph) -> Iterator[str]:
    left = {source for source, _ in graph.edges}
    for name, node in graph.nodes.items():
        if name not in left and not isinstance(node, nir.Output):
            yield f"node {name!r} ({type(node).__name__}) leads nowhere: no output depends on it"
