"""Constants of a graph whose neurons decay by exp(-dt / tau) in a step, not by 1 - dt / tau."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Literal

import nir
import numpy as np

from sne_deploy.errors import InputError
from sne_deploy.frontend.nir.implied_step import AGREE, leaks

DecayMode = Literal["exponential"]
DECAYS: tuple[DecayMode, ...] = ("exponential",)


Counted = Mapping[str, Mapping[str, Any]]
"""Of nodes' gains, by their names: where one was made to say what an input counts in one step."""


def with_decay(
    graph: nir.NIRGraph, dt_s: float, mode: DecayMode, counted: Counted | None = None
) -> nir.NIRGraph:
    """The same graph with constants whose forward Euler step decays by exp(-dt / tau).

    tau becomes dt / (1 - exp(-dt / tau)). A gain of 1 stays (the new input counts 1 - exp(-dt / tau)), and so
    does any other but those that say what an input counts in one step, all of it (tau / dt) or what is left
    of it after a step (tau exp(-dt / tau) / dt): they grow as tau does, and say the same.

    Parameters
    ----------
    graph : nir.NIRGraph
        Normalised; it is not changed.
    dt_s : float
    mode : {"exponential"}
    counted : mapping of node to mapping of gain to array of bool, or None
        Where a gain is known to say what an input counts, though it is 1, as tau / dt may be.

    Raises
    ------
    InputError
        An unknown mode.
    """
    if mode not in DECAYS:
        raise InputError(f"unknown decay {mode!r}; known: {', '.join(DECAYS)}")
    known = counted or {}
    nodes = graph.nodes.items()
    return with_nodes(graph, {name: _exponential(node, dt_s, known.get(name, {})) for name, node in nodes})


def _exponential(node: Any, dt_s: float, counted: Mapping[str, Any]) -> Any:
    made = copy(node)
    for tau_name, gain_name in leaks(node):
        tau, gain = (np.asarray(getattr(node, field), np.float64) for field in (tau_name, gain_name))
        longer = dt_s / -np.expm1(-dt_s / tau)
        setattr(made, tau_name, longer)
        grows = counts_a_step(tau, gain, dt_s) | counted.get(gain_name, False)
        setattr(made, gain_name, np.where(grows, gain * (longer / tau), gain))
    return made


def counts_a_step(tau: Any, gain: Any, dt_s: float) -> Any:
    """Where a gain makes an input count in full, or by what is left of it after a step."""
    share = gain * dt_s / tau
    return (gain != 1) & ((np.abs(share - 1) < AGREE) | is_decayed(tau, gain, dt_s))


def is_decayed(tau: Any, gain: Any, dt_s: float) -> Any:
    """Where a gain is tau exp(-dt / tau) / dt, and neither rather tau / dt nor 1, which says nothing."""
    share = gain * dt_s / tau
    with np.errstate(over="ignore"):
        apart = np.abs(share * np.exp(dt_s / tau) - 1)
    return (gain != 1) & (apart < AGREE) & (apart < np.abs(share - 1))


def with_nodes(graph: nir.NIRGraph, nodes: dict[str, Any]) -> nir.NIRGraph:
    """The same graph of other nodes."""
    return nir.NIRGraph(nodes, list(graph.edges), metadata=dict(graph.metadata), type_check=False)
