"""NIR's neurons, integrated step by step in float64, as NIR defines them.

With a = dt / tau (or tau_mem), b = dt / tau_syn and x what enters::

    CubaLIF, CubaLI   i <- i + b (w_in x - i)     v <- v + a (v_leak - v + r i), with the new i
    LIF, LI                                       v <- v + a (v_leak - v + r x)
    IF, I                                         v <- v + dt r x

LIF, CubaLIF and IF spike where v > v_threshold, strictly; then v <- v_reset, or v <- v - v_threshold, at
once or at the next step. The others send v. State starts at v_leak (IF: v_reset, or 0 where a spike
subtracts; I: 0), i at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import torch

from sne_deploy.neurons.resets import Reset, reset_of


@dataclass(frozen=True, eq=False)
class NeuronState:
    """Float64 tensors [B, *shape]: membrane, synaptic current, and what the next step subtracts from v."""

    v: torch.Tensor
    i: torch.Tensor
    owed: torch.Tensor


@dataclass(frozen=True, eq=False)
class Firing:
    """When neurons spike and what becomes of v."""

    v_threshold: torch.Tensor
    v_reset: torch.Tensor
    reset: Reset

    def apply(self, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Spikes (0.0 or 1.0), v after the reset, and what the next step subtracts."""
        spikes = v > self.v_threshold
        nothing = torch.zeros_like(v)
        if self.reset.mode == "value":
            return spikes.to(v.dtype), torch.where(spikes, self.v_reset, v), nothing
        amount = torch.where(spikes, self.v_threshold, nothing)
        if self.reset.delayed:
            return spikes.to(v.dtype), v, amount
        return spikes.to(v.dtype), v - amount, nothing


@dataclass(frozen=True, eq=False)
class Neuron:
    """A group of neurons.

    Attributes
    ----------
    v_init : tensor
    filtered : function (i, x) -> i, or None
        The synaptic current; None: x itself.
    integrated : function (v, i) -> v
    firing : Firing or None
        None: the group sends v.
    """

    v_init: torch.Tensor
    filtered: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None
    integrated: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    firing: Firing | None

    def step(self, state: NeuronState | None, x: torch.Tensor) -> tuple[NeuronState, torch.Tensor]:
        """One step on the input x, [B, *shape]."""
        if state is None:
            zero = torch.zeros_like(x)
            state = NeuronState(v=zero + self.v_init, i=zero, owed=zero)
        i = x if self.filtered is None else self.filtered(state.i, x)
        v = self.integrated(state.v, i) - state.owed
        if self.firing is None:
            return NeuronState(v, i, state.owed), v
        spikes, v, owed = self.firing.apply(v)
        return NeuronState(v, i, owed), spikes


def tensor(values: Any) -> torch.Tensor:
    """A float64 copy."""
    return torch.tensor(np.asarray(values, dtype=np.float64))


def _fraction(tau_s: Any, dt_s: float) -> torch.Tensor:
    """The step as a fraction of tau, where rounding may bring a tau of dt above 1."""
    return tensor(np.minimum(dt_s / np.asarray(tau_s, dtype=np.float64), 1.0))


def _leaky(node: Any, tau_s: Any, dt_s: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    a, r, v_leak = _fraction(tau_s, dt_s), tensor(node.r), tensor(node.v_leak)
    return lambda v, i: v + a * (v_leak - v + r * i)


def _perfect(node: Any, dt_s: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    gain = dt_s * tensor(node.r)
    return lambda v, i: v + gain * i


def _current(node: Any, dt_s: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    b, w_in = _fraction(node.tau_syn, dt_s), tensor(node.w_in)
    return lambda i, x: i + b * (w_in * x - i)


def _firing(name: str, node: Any) -> Firing:
    return Firing(tensor(node.v_threshold), tensor(node.v_reset), reset_of(name, node))


def _lif(name: str, node: nir.LIF, dt_s: float) -> Neuron:
    return Neuron(tensor(node.v_leak), None, _leaky(node, node.tau, dt_s), _firing(name, node))


def _li(_name: str, node: nir.LI, dt_s: float) -> Neuron:
    return Neuron(tensor(node.v_leak), None, _leaky(node, node.tau, dt_s), None)


def _cuba_lif(name: str, node: nir.CubaLIF, dt_s: float) -> Neuron:
    membrane = _leaky(node, node.tau_mem, dt_s)
    return Neuron(tensor(node.v_leak), _current(node, dt_s), membrane, _firing(name, node))


def _cuba_li(_name: str, node: nir.CubaLI, dt_s: float) -> Neuron:
    return Neuron(tensor(node.v_leak), _current(node, dt_s), _leaky(node, node.tau_mem, dt_s), None)


def _if(name: str, node: nir.IF, dt_s: float) -> Neuron:
    firing = _firing(name, node)
    v_init = firing.v_reset if firing.reset.mode == "value" else torch.zeros_like(firing.v_reset)
    return Neuron(v_init, None, _perfect(node, dt_s), firing)


def _i(_name: str, node: nir.I, dt_s: float) -> Neuron:
    return Neuron(torch.zeros((), dtype=torch.float64), None, _perfect(node, dt_s), None)


NEURONS: Mapping[type, Callable[[str, Any, float], Neuron]] = {
    nir.LIF: _lif,
    nir.CubaLIF: _cuba_lif,
    nir.IF: _if,
    nir.LI: _li,
    nir.CubaLI: _cuba_li,
    nir.I: _i,
}
"""Makes (name, node, dt_s) the neurons of a node."""
