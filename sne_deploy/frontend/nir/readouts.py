"""Neurons whose threshold is infinite: they never spike, and what is read of them is their membrane."""

from __future__ import annotations

from typing import Any

import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.arrays import as_array
from sne_deploy.frontend.nir.neuron_nodes import NEURONS, node_class

_SILENT = {"LIF": "LI", "CubaLIF": "CubaLI", "IF": "I"}
"""The same dynamics without spikes."""
INFINITE = 1e30
"""A threshold that no membrane reaches: exporters write infinity, or the largest float of a type."""


def never_fires(node: Any) -> bool:
    """Whether a node's threshold is infinite in some of its neurons."""
    return type(node).__name__ in _SILENT and bool(np.any(_threshold(node) >= INFINITE))


def as_readout(name: str, node: Any) -> Any:
    """A node without spikes in the place of one that never spikes; any other as it is.

    Raises
    ------
    GraphError
        Only some of its neurons never spike, or the neurons that it would become start elsewhere.
    """
    if not never_fires(node):
        return node
    where = f"node {name!r} ({type(node).__name__})"
    infinite = _threshold(node) >= INFINITE
    if not infinite.all():
        raise GraphError(
            f"{where}: v_threshold is infinite in {int(infinite.sum())} of {infinite.size} neurons, which "
            "then are read by their membrane, and the others by spikes; divide the node into two"
        )
    if type(node).__name__ == "IF" and np.any(as_array(node.v_reset) != 0):
        raise GraphError(
            f"{where}: v_threshold is infinite, and v starts at v_reset, which is not 0; write v_reset 0"
        )
    row = next(row for _, row in NEURONS.values() if row.name == _SILENT[type(node).__name__])
    metadata = {key: value for key, value in node.metadata.items() if not key.startswith("reset")}
    return node_class(row)(**{field: getattr(node, field) for field in row.fields}, metadata=metadata)


def readout_note(name: str, node: Any) -> str:
    """What is said of a node that :func:`as_readout` replaces."""
    kind = type(node).__name__
    return (
        f"node {name!r} ({kind}): v_threshold is infinite, so it never spikes; read as {_SILENT[kind]}, a "
        "readout of its membrane"
    )


def _threshold(node: Any) -> Any:
    value = as_array(getattr(node, "v_threshold", 0.0))
    return (
        value if value.dtype.kind in "fiu" else np.zeros(value.shape)
    )  # which is refused where fields are checked
