"""A slow, plain evaluation of a NIR graph, to hold the floating-point reference against.

It shares no code with any backend: Python numbers, one sample at a time, neuron by neuron, and what a node
sends at a step is asked from behind: of its sources at that step, or of the step before on a back edge.
Signals are flat lists in C order.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from math import prod
from typing import Any

import nir
import numpy as np

from sne_deploy.frontend.nir.shapes import graph_shapes
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.frontend.nir.windows import conv_node_geometry
from sne_deploy.neurons.resets import reset_of

Signal = list[float]


class GraphOracle:
    """One sample through a flat graph.

    Parameters
    ----------
    graph : nir.NIRGraph
    dt_s : float
    input_shape : tuple of int
    sample : array of shape (T, n) for spikes, or (n,) for a current that is the same at every step
    constant : bool
    """

    def __init__(self, graph: Any, dt_s: float, input_shape: Any, sample: Any, *, constant: bool) -> None:
        self.nodes, self.dt_s, self.constant = graph.nodes, dt_s, constant
        self.shapes = graph_shapes(graph, input_shape)
        self.back = execution_order(graph).back_edges
        self.sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for a, b in graph.edges:
            self.sources[b].append(a)
        self.sample = np.asarray(sample, dtype=float).tolist()
        self.sends = cache(self._sends)
        self.state = cache(self._state)

    def size(self, name: str) -> int:
        return prod(self.shapes[name])

    def _sends(self, name: str, t: int) -> Signal:
        """What a node sends at step t; at step -1, where no neuron has spiked."""
        node = self.nodes[name]
        if isinstance(node, nir.Input):
            return self.entering(name, t)
        if isinstance(node, nir.Delay):
            return [self.delayed(name, k, t) for k in range(self.size(name))]
        if isinstance(node, (nir.Threshold, *NEURONS)):
            return self.state(name, t)[0] if t >= 0 else [0.0] * self.size(name)
        return apply_map(node, self.arriving(name, t), self.shapes[self.sources[name][0]])

    def entering(self, name: str, t: int) -> Signal:
        """An input's own part of the sample."""
        names = sorted(n for n, node in self.nodes.items() if isinstance(node, nir.Input))
        start = sum(self.size(n) for n in names[: names.index(name)])
        if self.constant:
            return self.sample[start : start + self.size(name)]
        if t < 0:
            return [0.0] * self.size(name)
        return self.sample[t][start : start + self.size(name)]

    def arriving(self, name: str, t: int) -> Signal:
        """The sum over a node's incoming edges."""
        signals = [self.sends(source, t - ((source, name) in self.back)) for source in self.sources[name]]
        return [sum(values) for values in zip(*signals, strict=True)]

    def delayed(self, name: str, k: int, t: int) -> float:
        steps = round(per_neuron(self.nodes[name].delay, self.size(name))[k] / self.dt_s)
        if steps == 0:
            return self.arriving(name, t)[k]
        return self.arriving(name, t - steps)[k] if t - steps >= 0 else 0.0

    def _state(self, name: str, t: int) -> tuple[Signal, Signal, Signal, Signal]:
        """What is sent, v, i, and what the next step subtracts, after step t; before it for t = -1."""
        node, size = self.nodes[name], self.size(name)
        if t < 0:
            zeros = [0.0] * size
            return zeros, start_of(name, node, size), zeros, zeros
        x = self.arriving(name, t)
        if isinstance(node, nir.Threshold):
            threshold = per_neuron(node.threshold, size)
            return [float(a > b) for a, b in zip(x, threshold, strict=True)], [], [], []
        _, v, i, owed = self.state(name, t - 1)
        rows = [self.update(name, k, x[k], v[k], i[k], owed[k]) for k in range(size)]
        return tuple(list(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]

    def update(self, name: str, k: int, x: float, v: float, i: float, owed: float) -> tuple[float, ...]:
        """One neuron, one step."""
        node, size = self.nodes[name], self.size(name)
        p = {f: per_neuron(getattr(node, f), size)[k] for f in FIELDS if getattr(node, f, None) is not None}
        i = i + min(self.dt_s / p["tau_syn"], 1.0) * (p["w_in"] * x - i) if "tau_syn" in p else x
        if "v_leak" in p:
            a = min(self.dt_s / p.get("tau", p.get("tau_mem", 0.0)), 1.0)
            new = v + a * (p["v_leak"] - v + p["r"] * i) - owed
        else:
            new = v + self.dt_s * p["r"] * i - owed
        if "v_threshold" not in p:
            return new, new, i, 0.0
        reset = reset_of(name, node)
        waits = reset.mode == "value" and reset.delayed and v > p["v_threshold"]
        v = p["v_reset"] if waits else new
        if not v > p["v_threshold"]:
            return 0.0, v, i, 0.0
        if reset.mode == "none" or (reset.mode == "value" and reset.delayed):
            return 1.0, v, i, 0.0
        if reset.mode == "value":
            return 1.0, p["v_reset"], i, 0.0
        return (1.0, v, i, p["v_threshold"]) if reset.delayed else (1.0, v - p["v_threshold"], i, 0.0)


NEURONS = (nir.LIF, nir.CubaLIF, nir.IF, nir.LI, nir.CubaLI, nir.I)
FIELDS = ("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset")


def per_neuron(value: Any, size: int) -> Signal:
    flat = [float(entry) for entry in np.asarray(value).reshape(-1)]
    return flat * size if len(flat) == 1 else flat


def start_of(name: str, node: Any, size: int) -> Signal:
    """The membrane before the first step."""
    if hasattr(node, "v_leak"):
        return per_neuron(node.v_leak, size)
    if isinstance(node, nir.IF) and reset_of(name, node).mode == "value":
        return per_neuron(node.v_reset, size)
    return [0.0] * size


def apply_map(node: Any, x: Signal, shape: tuple[int, ...]) -> Signal:
    """An affine map of one signal of this shape."""
    if isinstance(node, (nir.Output, nir.Flatten)):
        return x
    if isinstance(node, nir.Scale):
        return [a * b for a, b in zip(x, per_neuron(node.scale, len(x)), strict=True)]
    if isinstance(node, (nir.Affine, nir.Linear)):
        bias = getattr(node, "bias", np.zeros(len(node.weight))).tolist()
        rows = node.weight.tolist()
        return [
            sum(w * a for w, a in zip(row, x, strict=True)) + b for row, b in zip(rows, bias, strict=True)
        ]
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        return list(_pooled(node, x, shape))
    return list(_convolved(node, x, shape))


def _pooled(node: Any, x: Signal, shape: tuple[int, ...]) -> Iterator[float]:
    kernel, stride, padding = (
        np.broadcast_to(getattr(node, f), (2,)).tolist() for f in ("kernel_size", "stride", "padding")
    )
    divisor = kernel[0] * kernel[1] if isinstance(node, nir.AvgPool2d) else 1
    counts = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)]
    for channel, top, left in product(range(shape[0]), *map(range, counts)):
        total = 0.0
        for i, j in product(*map(range, kernel)):
            at = (top * stride[0] + i - padding[0], left * stride[1] + j - padding[1])
            total += _value(x, shape, channel, at)
        yield total / divisor


def _convolved(node: Any, x: Signal, shape: tuple[int, ...]) -> Iterator[float]:
    stride, padding, dilation, groups = conv_node_geometry(node)
    weight = node.weight.tolist()
    kernel = node.weight.shape[2:]
    c_out, c_in = node.weight.shape[:2]
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    ]
    for out, *start in product(range(c_out), *map(range, counts)):
        total = float(node.bias[out])
        for c, *tap in product(range(c_in), *map(range, kernel)):
            at = tuple(
                o * s + k * d - p for o, s, k, d, p in zip(start, stride, tap, dilation, padding, strict=True)
            )
            value = weight[out][c]
            for k in tap:
                value = value[k]
            total += value * _value(x, shape, out // (c_out // groups) * c_in + c, at)
        yield total


def _value(x: Signal, shape: tuple[int, ...], channel: int, at: tuple[int, ...]) -> float:
    """An entry of a signal, 0 outside its borders."""
    if any(not 0 <= place < n for place, n in zip(at, shape[1:], strict=True)):
        return 0.0
    index = channel
    for place, n in zip(at, shape[1:], strict=True):
        index = index * n + place
    return x[index]
