"""Gains of a graph whose exporter left them out, or wrote something else for an input that counts in full."""

from __future__ import annotations

from copy import copy
from typing import Any, Literal

import nir
import numpy as np

from sne_deploy.errors import InputError
from sne_deploy.frontend.nir.decay import Counted, is_decayed, with_nodes
from sne_deploy.frontend.nir.implied_step import values

GainMode = Literal["full", "current"]
GAINS: tuple[GainMode, ...] = ("full", "current")


def with_gain(graph: nir.NIRGraph, dt_s: float, mode: GainMode) -> nir.NIRGraph:
    """The same graph in which an input counts in full at every step.

    In neurons without a leak r becomes 1 / dt, in others tau / dt, and w_in becomes tau_syn / dt. Where a
    neuron with a synaptic current has r = 1 and w_in = 1, as Norse writes it, a membrane takes 1 / tau of its
    input by intention: there, and in the whole graph, r = 1 stays in leaky membranes. Where r is
    tau exp(-dt / tau) / dt, as Rockpool writes it, w_in becomes tau_syn exp(-dt / tau_syn) / dt, since a
    spike decays in the step in which it arrives; of a membrane that is not compared with a threshold, and has
    no current, r is right then.

    Parameters
    ----------
    graph : nir.NIRGraph
        Normalised; it is not changed.
    dt_s : float
    mode : {"full", "current"}
        ``current``: of currents and of neurons without a leak alone; leaky membranes keep their r.

    Raises
    ------
    InputError
        An unknown mode.
    """
    if mode not in GAINS:
        raise InputError(f"unknown gain {mode!r}; known: {', '.join(GAINS)}")
    one_stays = _one_stays(graph, mode)
    return with_nodes(graph, {name: _full(node, dt_s, mode, one_stays) for name, node in graph.nodes.items()})


def counted(graph: nir.NIRGraph, dt_s: float, mode: GainMode) -> Counted:
    """Where :func:`with_gain` makes a leaky neuron's gain say what an input counts in one step."""
    one_stays = _one_stays(graph, mode)
    return {
        name: {"r": ~_kept(node, dt_s, mode, one_stays), "w_in": True}
        for name, node in graph.nodes.items()
        if _tau(node) is not None
    }


def _one_stays(graph: nir.NIRGraph, mode: GainMode) -> bool:
    return mode == "current" or any(_has_current(node) and bare(node) for node in graph.nodes.values())


def bare(node: Any) -> bool:
    """Whether all of a node's gains are 1."""
    return all(bool(np.all(values(node, field) == 1)) for field in ("r", "w_in") if hasattr(node, field))


def _has_current(node: Any) -> bool:
    return hasattr(node, "tau_syn")


def _full(node: Any, dt_s: float, mode: GainMode, one_stays: bool) -> Any:
    made = copy(node)
    if isinstance(node, (nir.IF, nir.I)):
        made.r = np.full(np.shape(node.r), 1 / dt_s)
    tau = _tau(node)
    if tau is not None:
        r = np.asarray(node.r, np.float64)
        made.r = np.where(_kept(node, dt_s, mode, one_stays), r, tau / dt_s)
        if _has_current(node):
            tau_syn = np.asarray(node.tau_syn, np.float64)
            left = np.where(is_decayed(tau, r, dt_s), np.exp(-dt_s / tau_syn), 1.0)
            made.w_in = tau_syn / dt_s * left
    return made


def _tau(node: Any) -> Any:
    """A leaky neuron's membrane time constants; None of all else."""
    if isinstance(node, (nir.IF, nir.I)) or not (hasattr(node, "tau") or _has_current(node)):
        return None
    return np.asarray(node.tau if hasattr(node, "tau") else node.tau_mem, np.float64)


def _kept(node: Any, dt_s: float, mode: GainMode, one_stays: bool) -> Any:
    """Where a leaky neuron keeps its r."""
    r = np.asarray(node.r, np.float64)
    kept = np.full(r.shape, mode == "current") | (one_stays & (r == 1))
    return kept | is_decayed(_tau(node), r, dt_s) if isinstance(node, nir.LI) else kept
