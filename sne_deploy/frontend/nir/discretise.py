"""A normalised graph as its framework steps it: constants as a user says, with notes on what is in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import nir

from sne_deploy.errors import InputError
from sne_deploy.frontend.nir.conventions import (
    check_long_enough,
    decay_notes,
    decayed_gain_notes,
    gain_notes,
    spike_notes,
    step_notes,
)
from sne_deploy.frontend.nir.decay import with_decay
from sne_deploy.frontend.nir.gain import counted, with_gain
from sne_deploy.frontend.nir.recurrence import through_recurrence

if TYPE_CHECKING:
    from sne_deploy.frontend.options import ReadOptions


def discretised(
    graph: nir.NIRGraph, dt_s: float, options: ReadOptions
) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """The graph with the constants that ``options.gain`` and ``options.decay`` ask for; its metadata says so.

    Parameters
    ----------
    graph : nir.NIRGraph
        Normalised; it is not changed.
    dt_s : float
    options : ReadOptions

    Returns
    -------
    graph : nir.NIRGraph
    notes : tuple of str
        What was assumed, and what is in doubt.

    Raises
    ------
    InputError
        An unknown mode, or one that the graph's constants hold already.
    GraphError
        A time constant is shorter than dt.
    """
    gain, decay = options.gain, options.decay
    for field, value in (("gain", gain), ("decay", decay)):
        if value is not None and graph.metadata.get(field) is not None:
            raise InputError(
                f"{field} {value} was given, but the graph's constants are those of {field} "
                f"{graph.metadata[field]!s:.100} already, as its metadata says; leave it out"
            )
    notes = tuple(_notes(graph, dt_s, options))
    made = graph if gain is None else with_gain(graph, dt_s, gain)
    if decay is not None:
        made = with_decay(made, dt_s, decay, None if gain is None else counted(graph, dt_s, gain))
    check_long_enough(made, dt_s)
    said = {name: value for name, value in (("gain", gain), ("decay", decay)) if value is not None}
    if said:
        made = nir.NIRGraph(
            dict(made.nodes), list(made.edges), metadata={**made.metadata, **said}, type_check=False
        )
    return made, notes


def _notes(graph: nir.NIRGraph, dt_s: float, options: ReadOptions) -> Iterator[str]:
    yield from step_notes(graph, dt_s)
    if options.decay is not None:
        yield "time constants were replaced: all decays by exp(-dt / tau) in a step (--decay exponential)"
    elif "decay" not in graph.metadata:
        yield from decay_notes(graph, dt_s)
    if options.gain is not None:
        yield f"gains were replaced: inputs count in full at every step of {dt_s:g} s (--gain {options.gain})"
    elif "gain" not in graph.metadata:
        yield from gain_notes(graph, dt_s)
        if options.decay is not None:
            yield from decayed_gain_notes(graph)
    if options.convention is None:
        yield from spike_notes(graph, dt_s)
    yield from _recurrence_notes(graph)


def _recurrence_notes(graph: nir.NIRGraph) -> Iterator[str]:
    for matrix, neurons in through_recurrence(graph).items():
        yield (
            f"node {matrix!r} takes the input of {neurons!r} and its spikes through one matrix; Spyx writes "
            "recurrent layers so whose input goes straight to the neurons: if it wrote this, give "
            "--convention spyx"
        )
