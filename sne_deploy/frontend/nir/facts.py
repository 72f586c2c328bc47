"""What a graph has no field for, in its metadata: its readout, its encoder, the steps of a sample.

``metadata["sne_deploy"]`` holds ``version``, ``readout``, ``encoder`` (the kind), ``input_range`` (two
numbers), ``scale`` (the encoder's, where it is not 1) and ``timesteps``. A graph that says this says its
resets too: a neuron whose metadata names none has NIR's own, to ``v_reset``. ``dt_s`` stands beside it, by
itself, as other graphs may have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import nir
import numpy as np

from sne_deploy.errors import GraphError, InputError
from sne_deploy.ir.readout import READOUTS, Readout
from sne_deploy.model.parts import MAX_TIMESTEPS, Encoder, EncoderKind

GROUP = "sne_deploy"
VERSION = 1


@dataclass(frozen=True)
class Facts:
    """What a graph says of itself beyond NIR; None where it does not."""

    readout: Readout | None = None
    encoder: Encoder | None = None
    timesteps: int | None = None

    @property
    def stated(self) -> bool:
        """Whether it says them all, and its resets."""
        return self.readout is not None


def with_facts(graph: nir.NIRGraph, readout: Readout, encoder: Encoder, timesteps: int) -> nir.NIRGraph:
    """The same graph, which says how it is used."""
    facts = {
        "version": VERSION,
        "readout": readout,
        "encoder": encoder.kind,
        "input_range": np.asarray(encoder.input_range, np.float64),
        **({} if encoder.scale == 1 else {"scale": float(encoder.scale)}),
        "timesteps": timesteps,
    }
    metadata = {**graph.metadata, GROUP: facts}
    made = nir.NIRGraph(dict(graph.nodes), list(graph.edges), metadata=metadata, type_check=False)
    made.input_type, made.output_type = graph.input_type, graph.output_type
    return made


def facts_of(graph: nir.NIRGraph) -> Facts:
    """What a graph says of itself; nothing where it is of another tool.

    Raises
    ------
    GraphError
        A version that is not known, a key that is missing, or a value that cannot be.
    """
    stored = graph.metadata.get(GROUP)
    if stored is None:
        return Facts()
    if not isinstance(stored, Mapping):
        raise GraphError(f"metadata {GROUP} must be a group")
    version = _value(stored, "version", int)
    if version != VERSION:
        raise GraphError(f"metadata {GROUP}/version is {version}, not {VERSION}; use a newer sne-deploy")
    readout = _value(stored, "readout", str)
    if readout not in READOUTS:
        raise GraphError(f"metadata {GROUP}/readout is {readout!r:.60}, not one of {', '.join(READOUTS)}")
    timesteps = _value(stored, "timesteps", int)
    if not 1 <= timesteps <= MAX_TIMESTEPS:
        raise GraphError(f"metadata {GROUP}/timesteps is {timesteps}, must be 1 to {MAX_TIMESTEPS}")
    kind = cast("EncoderKind", _value(stored, "encoder", str))
    low, high = _value(stored, "input_range", lambda found: [float(end) for end in found[:3]])
    scale = _value(stored, "scale", float) if "scale" in stored else 1.0
    try:
        return Facts(cast("Readout", readout), Encoder(kind, (low, high), scale), timesteps)
    except InputError as error:
        raise GraphError(f"metadata {GROUP}: {error}") from None


def _value(stored: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> Any:
    try:
        found = read(stored[name])
    except (KeyError, TypeError, ValueError, OverflowError, IndexError):
        raise GraphError(
            f"metadata {GROUP}/{name} is missing or {str(stored.get(name))[:60]!r}, which it cannot be"
        ) from None
    if name == "input_range" and len(found) != 2:
        raise GraphError(f"metadata {GROUP}/input_range must be two numbers")
    return found
