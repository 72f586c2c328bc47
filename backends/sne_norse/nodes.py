"""What every NIR node computes in one step, in float64 and batched over samples.

A node is made once and keeps nothing: its state goes in and comes out, and is None before the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import nir
import numpy as np
import torch
from torch.nn import functional

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.nir.windows import conv_node_geometry
from sne_norse.neurons import NEURONS, tensor

Step = tuple[Any, torch.Tensor]
"""The state after a step, and what the node sends: [B, ...]."""


class Node(Protocol):
    """A node of the graph."""

    def step(self, state: Any, x: torch.Tensor) -> Step:
        """One step on the sum x of what enters, [B, ...]."""
        ...


@dataclass(frozen=True)
class AffineMap:
    """y = function(x), an affine function without state."""

    function: Callable[[torch.Tensor], torch.Tensor]

    def step(self, state: Any, x: torch.Tensor) -> Step:
        """One step; there is no state."""
        return state, self.function(x)


@dataclass(frozen=True, eq=False)
class Threshold:
    """y = 1 where x > threshold, strictly, else 0."""

    threshold: torch.Tensor

    def step(self, state: Any, x: torch.Tensor) -> Step:
        """One step; there is no state."""
        return state, (x > self.threshold).to(x.dtype)


@dataclass(frozen=True, eq=False)
class Delay:
    """y(t) = x(t - d), zero before a sample's first step.

    Attributes
    ----------
    steps : tuple of (int, bool tensor)
        Every delay that some neuron has, in steps, and which neurons those are.
    """

    steps: tuple[tuple[int, torch.Tensor], ...]

    def step(self, state: Any, x: torch.Tensor) -> Step:
        """One step; the state is the past inputs, newest first."""
        longest = max(count for count, _ in self.steps)
        history = (x, *(state or ()))[: longest + 1]
        y = torch.zeros_like(x)
        for count, neurons in self.steps:
            if count < len(history):
                y = torch.where(neurons, history[count], y)
        return history, y


def make_node(name: str, node: Any, dt_s: float, timesteps: int) -> Node:
    """Make what computes a NIR node.

    Parameters
    ----------
    name : str
        For messages.
    node : nir.NIRNode
    dt_s : float
        Time step in seconds.
    timesteps : int
        Steps of a sample: what is delayed by as many never arrives.

    Raises
    ------
    UnsupportedError
        There is no rule for the node's type.
    """
    if type(node) in NEURONS:
        neuron: Node = NEURONS[type(node)](name, node, dt_s)
        return neuron
    if isinstance(node, nir.Threshold):
        return Threshold(tensor(node.threshold))
    if isinstance(node, nir.Delay):
        return _delay(node, dt_s, timesteps)
    if type(node) not in _FUNCTIONS:
        raise UnsupportedError("target 'norse'", [f"node {name!r} of type {type(node).__name__}"])
    return AffineMap(_FUNCTIONS[type(node)](node))


def _delay(node: nir.Delay, dt_s: float, timesteps: int) -> Delay:
    counts = np.minimum(np.rint(np.asarray(node.delay, dtype=np.float64) / dt_s), timesteps).astype(np.int64)
    return Delay(tuple((int(count), torch.tensor(counts == count)) for count in np.unique(counts)))


def _same(_node: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x


def _scale(node: nir.Scale) -> Callable[[torch.Tensor], torch.Tensor]:
    factor = tensor(node.scale)
    return lambda x: x * factor


def _matrix(node: nir.Affine | nir.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    weight = tensor(node.weight)
    bias = tensor(node.bias) if isinstance(node, nir.Affine) else None
    return lambda x: functional.linear(x, weight, bias)


def _conv(node: nir.Conv1d | nir.Conv2d) -> Callable[[torch.Tensor], torch.Tensor]:
    stride, padding, dilation, groups = conv_node_geometry(node)
    weight, bias = tensor(node.weight), tensor(node.bias)
    convolve: Any = functional.conv1d if isinstance(node, nir.Conv1d) else functional.conv2d
    return lambda x: convolve(x, weight, bias, stride, padding, dilation, groups)


def _pool(node: nir.AvgPool2d | nir.SumPool2d) -> Callable[[torch.Tensor], torch.Tensor]:
    """Padding counts in the average; it is added first, for torch allows no more than half a kernel."""
    kernel, stride, padding = (
        tuple(np.broadcast_to(np.asarray(value).reshape(-1), (2,)).tolist())
        for value in (node.kernel_size, node.stride, node.padding)
    )
    border = (padding[1], padding[1], padding[0], padding[0])
    divisor = kernel[0] * kernel[1] if isinstance(node, nir.AvgPool2d) else 1
    return lambda x: functional.avg_pool2d(
        functional.pad(x, border), kernel, stride, divisor_override=divisor
    )


def _flatten(node: nir.Flatten) -> Callable[[torch.Tensor], torch.Tensor]:
    """NIR counts axes without the batch."""
    start, end = (int(axis) + (int(axis) >= 0) for axis in (node.start_dim, node.end_dim))
    return lambda x: x.flatten(start, end)


_FUNCTIONS: dict[type, Callable[[Any], Callable[[torch.Tensor], torch.Tensor]]] = {
    nir.Input: _same,
    nir.Output: _same,
    nir.Scale: _scale,
    nir.Affine: _matrix,
    nir.Linear: _matrix,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.AvgPool2d: _pool,
    nir.SumPool2d: _pool,
    nir.Flatten: _flatten,
}
