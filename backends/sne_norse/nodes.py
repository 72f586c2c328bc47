"""What every NIR node computes, in float64, over any number of steps: x of shape (B, S, ...).

Where x is the same at every step it has one step only, (B, 1, ...); so has what a node without state sends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.nir.windows import conv_node_geometry
from sne_norse.maps import Map, convolution, matrix, pool
from sne_norse.nir_neurons import NODES, Fields

Array = npt.NDArray[Any]


class Node(Protocol):
    """A node of the graph."""

    def start(self, samples: int) -> Array | None:
        """The state before the first step; None where there is none."""
        ...

    def run(self, state: Array | None, x: Array, steps: int) -> Array:
        """What it sends in some steps on the sum x of what enters, (B, steps or 1, ...).

        The state is changed; None stands for the one before the first step.
        """
        ...


@dataclass(frozen=True)
class Stateless:
    """y = function(x); ``affine``: it sends something where no neuron has spiked."""

    function: Map
    affine: bool = True

    def start(self, samples: int) -> None:
        """There is no state."""

    def run(self, state: Array | None, x: Array, steps: int) -> Array:  # noqa: ARG002  a node's
        """See :class:`Node`."""
        return self.function(x)


@dataclass(frozen=True, eq=False)
class Delay:
    """y(t) = x(t - d), zero before a sample's first step; d of every neuron, int64 of the input's shape."""

    steps: Array

    def start(self, samples: int) -> Array:
        """Past inputs."""
        return np.zeros((samples, int(self.steps.max()), *self.steps.shape))

    def run(self, state: Array | None, x: Array, steps: int) -> Array:
        """See :class:`Node`."""
        past = self.start(len(x)) if state is None else state
        longest = past.shape[1]
        known = np.concatenate([past, np.broadcast_to(x, (len(x), steps, *x.shape[2:]))], axis=1)
        y = np.empty((len(x), steps, *x.shape[2:]))
        for count in np.unique(self.steps):
            np.copyto(y, known[:, longest - count : longest - count + steps], where=self.steps == count)
        past[:] = known[:, steps:]
        return y


def make_node(name: str, node: Any, dt_s: float, timesteps: int, shape: tuple[int, ...]) -> Node:
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
    shape : tuple of int
        Of what it sends.

    Raises
    ------
    UnsupportedError
        There is no rule for the node's type.
    """
    if type(node).__name__ in NODES:
        return NODES[type(node).__name__](Fields(name, node, dt_s, shape))
    if isinstance(node, nir.Threshold):
        threshold = np.asarray(node.threshold, np.float64)
        return Stateless(lambda x: (x > threshold).astype(np.uint8), affine=False)
    if isinstance(node, nir.Delay):
        steps = np.rint(np.asarray(node.delay, dtype=np.float64) / dt_s)
        return Delay(np.broadcast_to(np.minimum(steps, timesteps), shape).astype(np.int64))
    if isinstance(node, nir.Flatten):
        return Stateless(lambda x: x.reshape(*x.shape[:2], *shape))
    if type(node) not in _FUNCTIONS:
        raise UnsupportedError("target 'norse'", [f"node {name!r} of type {type(node).__name__}"])
    return Stateless(_FUNCTIONS[type(node)](node))


def _same(_node: Any) -> Map:
    return lambda x: x


def _scale(node: nir.Scale) -> Map:
    factor = np.asarray(node.scale, np.float64)
    return lambda x: x * factor


def _matrix(node: nir.Affine | nir.Linear) -> Map:
    return matrix(np.asarray(node.weight), node.bias if isinstance(node, nir.Affine) else None)


def _conv(node: nir.Conv1d | nir.Conv2d) -> Map:
    *window, groups = conv_node_geometry(node)
    return convolution(np.asarray(node.weight), node.bias, window, groups)


def _pool(node: nir.AvgPool2d | nir.SumPool2d) -> Map:
    """Padding counts in the average."""
    kernel, stride, padding = (
        np.broadcast_to(np.asarray(value).reshape(-1), (2,)).tolist()
        for value in (node.kernel_size, node.stride, node.padding)
    )
    return pool(kernel, stride, padding, kernel[0] * kernel[1] if isinstance(node, nir.AvgPool2d) else 1)


_FUNCTIONS: dict[type, Callable[[Any], Map]] = {
    nir.Input: _same,
    nir.Output: _same,
    nir.Scale: _scale,
    nir.Affine: _matrix,
    nir.Linear: _matrix,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.AvgPool2d: _pool,
    nir.SumPool2d: _pool,
}
