"""The Network: a NIR graph with time made discrete, before linear maps are composed.

Neurons carry fractions per step instead of time constants::

    u <- (1 - b) u + gain x        v <- v + a (v_leak - v) + u        spike if v > v_th, then v <- v_reset

or, with a soft reset, v <- v - v_sub; where ``reset_delayed``, v <- v_reset in place of the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.brief import briefly
from sne_deploy.ir.program import ProgramInput
from sne_deploy.ir.readout import Readout
from sne_deploy.ir.weights import Weights
from sne_deploy.neurons.table import MODELS

if TYPE_CHECKING:
    import nir

Array = npt.NDArray[Any]


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class LinearNode:
    """y = weights @ x + bias on flat C-order vectors; ``weights`` None is the identity (a reshape)."""

    name: str
    weights: Weights | None
    bias: Array | None


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class NeuronNode:
    """Neurons of one model, its name in ``kind``; parameters are float64 of shape () or (n,)."""

    name: str
    kind: str
    shape: tuple[int, ...]
    a: Array
    b: Array
    gain: Array
    v_leak: Array
    v_th: Array
    v_reset: Array
    v_sub: Array | None = None
    reset_delayed: bool = False
    own: Mapping[str, Array] = field(default_factory=dict)

    @property
    def spiking(self) -> bool:
        """False for leaky integrators, whose potential is read."""
        return MODELS[self.kind].spiking

    @property
    def has_current(self) -> bool:
        """True where they keep a synaptic current from step to step."""
        return MODELS[self.kind].has_current

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class DelayNode:
    """y[t] = x[t - steps], elementwise; ``steps`` is an int64 array of shape (n,)."""

    name: str
    steps: Array


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Connection:
    """What one source contributes to one neuron node: x[t] += weights @ spikes[t - lag].

    ``closes_cycle``: the path has a back edge; without such connections the groups form no cycle.
    """

    name: str
    source: str
    target: str
    weights: Weights
    lag: int = 0
    closes_cycle: bool = False


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """Nodes and edges of one student.

    ``linears``, ``delays`` and ``edges`` describe the graph until linear maps are composed; afterwards they
    are empty, and ``connections`` with ``biases`` (by neuron name, before the gain) take their place.
    ``outputs`` name the output nodes, then the neurons behind them. ``back_edges`` are those of
    :class:`sne_deploy.frontend.nir.topology.Topology`.
    """

    name: str
    input: ProgramInput
    outputs: tuple[str, ...]
    readout: Readout
    timesteps: int
    dt_s: float
    graph: nir.NIRGraph
    neurons: tuple[NeuronNode, ...]
    linears: tuple[LinearNode, ...] = ()
    delays: tuple[DelayNode, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    back_edges: frozenset[tuple[str, str]] = frozenset()
    connections: tuple[Connection, ...] = ()
    biases: tuple[tuple[str, Array], ...] = ()
    warnings: tuple[str, ...] = ()

    def neuron(self, name: str) -> NeuronNode:
        """The neuron node of that name."""
        return next(neuron for neuron in self.neurons if neuron.name == name)
