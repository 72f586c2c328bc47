"""NIR integrated in NumPy, float64, one step after the other: an oracle without any code of the compiler.

At every step, in the order of the graph::

    I <- I + dt / tau_syn (w_in x - I)                 CubaLIF, CubaLI
    v <- v + dt / tau_mem (v_leak - v + r I)           with the new I; LIF and LI have I = x
    v <- v + dt r x                                    IF
    s = v > v_threshold;  v <- v_reset where s         or another reset, see ``Rules``

v starts at v_leak (IF: at v_reset). Spikes on a cycle arrive one step later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NEURONS = (nir.LIF, nir.CubaLIF, nir.IF, nir.LI, nir.CubaLI)
FIRING = (nir.LIF, nir.CubaLIF, nir.IF)


@dataclass(frozen=True)
class Rules:
    """What NIR leaves open, or has no field for.

    Attributes
    ----------
    dt_s : float
    reset : str
        ``value``: v <- v_reset. ``subtract``: v <- v - v_threshold. ``subtract_delayed``: at the next step,
        after the decay, the threshold is subtracted. ``zero_delayed``: at the next step v is 0
        whatever arrives.
    fires_at : str
        ``>`` or ``>=``.
    multi_spike : bool
        A neuron gives as many spikes as the threshold fits into v, and v loses as many thresholds.
    v_floor : float or None
        v is not let below this, after the reset.
    start : str
        ``v_leak`` or ``v_reset``: where v of a leaky neuron begins.
    subtract_twice : bool
        snnTorch's ``subtract`` without delay: where v is above the threshold after the subtraction, the
        threshold is subtracted again at the next step, and given back where that step brings no spike.
    added : float
        Sinabs' ``MembraneReset(value)``: added to every membrane after each step.
    """

    dt_s: float
    reset: str = "value"
    fires_at: str = ">"
    multi_spike: bool = False
    v_floor: float | None = None
    start: str = "v_leak"
    subtract_twice: bool = False
    added: float = 0.0


@dataclass
class Outputs:
    """What came out, and how close a membrane came to its threshold."""

    values: dict[str, Array] = field(default_factory=dict)
    margin: float = np.inf


def simulate(graph: nir.NIRGraph, inputs: Array, rules: Rules) -> Outputs:
    """Run a flat graph with one input.

    Parameters
    ----------
    graph : nir.NIRGraph
    inputs : array (N, T, ...)
    rules : Rules

    Returns
    -------
    Outputs
        ``values``: (N, T, ...) of every node of neurons, bool spikes, uint8 counts or float64 membranes.
    """
    outputs = Outputs()
    neurons = {
        name: _Neuron(node, rules, outputs) for name, node in graph.nodes.items() if isinstance(node, NEURONS)
    }
    order, delayed = _order(graph)
    last: dict[str, Array] = {}
    history: dict[str, list[Array]] = {name: [] for name in neurons}
    for t in range(inputs.shape[1]):
        now: dict[str, Array] = {}
        for name in order:
            node = graph.nodes[name]
            if isinstance(node, nir.Input):
                now[name] = inputs[:, t].astype(np.float64)
                continue
            x = np.zeros(())
            for a in (a for a, b in graph.edges if b == name):
                x = x + (last.get(a, _no_spikes(graph.nodes[a], inputs)) if (a, name) in delayed else now[a])
            now[name] = neurons[name].step(x) if name in neurons else _linear(node, x)
        last = now
        for name in neurons:
            history[name].append(now[name])
    for name, steps in history.items():
        values = np.stack(steps, axis=1)
        if isinstance(graph.nodes[name], FIRING):
            values = values.astype(np.uint8 if rules.multi_spike else bool)
        outputs.values[name] = values
    return outputs


def _no_spikes(node: Any, inputs: Array) -> Array:
    return np.zeros((inputs.shape[0], *np.shape(node.v_threshold)))


def _order(graph: nir.NIRGraph) -> tuple[list[str], set[tuple[str, str]]]:
    """Nodes so that sources come first, and the edges that leave a neuron on a cycle."""
    follows: dict[str, set[str]] = {name: {b for a, b in graph.edges if a == name} for name in graph.nodes}

    def reaches(a: str, b: str) -> bool:
        seen: set[str] = set()
        waiting = [a]
        while waiting:
            name = waiting.pop()
            if name == b:
                return True
            waiting += follows[name] - seen
            seen |= follows[name]
        return False

    delayed = {(a, b) for a, b in graph.edges if isinstance(graph.nodes[a], NEURONS) and reaches(b, a)}
    edges = {(a, b) for a, b in graph.edges} - delayed
    order: list[str] = []
    while len(order) < len(graph.nodes):
        order += sorted(
            name
            for name in graph.nodes
            if name not in order and all(a in order for a, b in edges if b == name)
        )
    return order, delayed


class _Neuron:
    """A node of neurons and its state; parameters in float64."""

    def __init__(self, node: Any, rules: Rules, outputs: Outputs) -> None:
        self.kind, self.rules, self.outputs = type(node), rules, outputs
        fields = ("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset")
        self.p = SimpleNamespace(
            **{name: np.asarray(getattr(node, name), np.float64) for name in fields if hasattr(node, name)}
        )
        at_reset = self.kind is nir.IF or (self.kind in FIRING and rules.start == "v_reset")
        self.v: Array = self.p.v_reset if at_reset else self.p.v_leak
        self.current: Array = np.zeros(())
        self.spikes: Array = np.zeros(())

    def step(self, x: Array) -> Array:
        """One step of input (N, ...): spikes, or the membrane where there is no threshold."""
        p, dt = self.p, self.rules.dt_s
        if self.kind is nir.IF:
            v = self.v + dt * p.r * x
        elif self.kind in (nir.CubaLIF, nir.CubaLI):
            self.current = self.current + dt / p.tau_syn * (p.w_in * x - self.current)
            v = self.v + dt / p.tau_mem * (p.v_leak - self.v + p.r * self.current)
        else:
            v = self.v + dt / p.tau * (p.v_leak - self.v + p.r * x)
        if self.kind in FIRING:
            return self._fire(np.asarray(v))
        self.v = np.asarray(v)
        return self.v

    def _fire(self, v: Array) -> Array:
        rules, threshold = self.rules, self.p.v_threshold
        if rules.reset == "subtract_delayed":
            v = v - self.spikes * threshold
        elif rules.reset == "zero_delayed":
            v = v * (1 - self.spikes)
        again = (self.v > threshold) if rules.subtract_twice else np.zeros(v.shape)
        v = v - again * threshold
        self.outputs.margin = min(self.outputs.margin, float(np.abs(v - threshold).min()))
        if rules.multi_spike:
            spikes = np.maximum(np.trunc(v / threshold), 0)
        else:
            spikes = np.asarray(v > threshold if rules.fires_at == ">" else v >= threshold, np.float64)
        if rules.reset == "value":
            v = np.where(spikes > 0, self.p.v_reset, v)
        elif rules.reset == "subtract":
            v = v - (spikes - again) * threshold
        v = v + rules.added
        self.v = v if rules.v_floor is None else np.maximum(v, rules.v_floor)
        self.spikes = np.asarray(spikes)
        return self.spikes


def _linear(node: Any, x: Array) -> Array:
    bias = np.asarray(getattr(node, "bias", 0.0), np.float64)
    if isinstance(node, (nir.Affine, nir.Linear)):
        return np.asarray(x @ np.asarray(node.weight, np.float64).T + bias)
    if isinstance(node, nir.Flatten):
        return x.reshape(len(x), -1)
    if isinstance(node, nir.Conv1d):
        stride, padding, dilation = (_pair(value)[0] for value in (node.stride, node.padding, node.dilation))
        y = _conv(x[:, :, None], node.weight[:, :, None], (1, stride), (0, padding), (1, dilation))
        return np.asarray(y[:, :, 0] + bias[:, None])
    if isinstance(node, nir.Conv2d):
        y = _conv(x, node.weight, _pair(node.stride), _pair(node.padding), _pair(node.dilation))
        return np.asarray(y + bias[:, None, None])
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        size = _pair(node.kernel_size)
        tap = 1.0 / (size[0] * size[1]) if isinstance(node, nir.AvgPool2d) else 1.0
        channels = np.eye(x.shape[1])[:, :, None, None] * np.full(size, tap)
        return _conv(x, channels, _pair(node.stride), _pair(node.padding), (1, 1))
    if isinstance(node, nir.Output):
        return x
    raise TypeError(f"no rule for {type(node).__name__}")


def _pair(value: Any) -> tuple[int, int]:
    flat = np.asarray(value).reshape(-1)
    return int(flat[0]), int(flat[-1])


def _conv(
    x: Array, kernel: Array, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> Array:
    """Convolution of (N, C, H, W) with (C_out, C, kh, kw), as deep learning calls it."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1])))
    extent = [(kernel.shape[2 + i] - 1) * dilation[i] + 1 for i in (0, 1)]
    windows = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return np.asarray(np.einsum("nchwij,ocij->nohw", windows, np.asarray(kernel, np.float64)))
