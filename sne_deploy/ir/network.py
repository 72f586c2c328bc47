"""The Network: a NIR graph with time made discrete, before linear maps are composed.

Neurons carry fractions per step instead of time constants::

    u <- (1 - b) u + gain x        v <- v + a (v_leak - v) + u        spike if v > v_th, then v <- v_reset
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from sne_deploy.ensembles import Readout
from sne_deploy.ir.program import ProgramInput
from sne_deploy.ir.weights import Weights

if TYPE_CHECKING:
    import nir

Array = npt.NDArray[Any]
NeuronKind = Literal["lif", "cuba_lif", "if", "li", "cuba_li"]


@dataclass(frozen=True, eq=False)
class LinearNode:
    """y = weights @ x + bias on flat C-order vectors; ``weights`` None is the identity (a reshape)."""

    name: str
    weights: Weights | None
    bias: Array | None


@dataclass(frozen=True, eq=False)
class NeuronNode:
    """Neurons of one kind; every parameter is a float64 array of shape () or (n,), in student's units."""

    name: str
    kind: NeuronKind
    shape: tuple[int, ...]
    a: Array
    b: Array
    gain: Array
    v_leak: Array
    v_th: Array
    v_reset: Array

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Connection:
    """What one source contributes to one neuron node: x += weights @ spikes."""

    name: str
    source: str
    target: str
    weights: Weights


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes and edges of one student.

    ``linears`` and ``edges`` describe the graph until linear maps are composed; afterwards both are empty
    and ``connections`` with ``biases`` (by neuron name, before the gain) take their place.
    """

    student: str
    input: ProgramInput
    output: str
    readout: Readout
    timesteps: int
    dt_s: float
    graph: nir.NIRGraph
    neurons: tuple[NeuronNode, ...]
    linears: tuple[LinearNode, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    connections: tuple[Connection, ...] = ()
    biases: tuple[tuple[str, Array], ...] = ()

    def neuron(self, name: str) -> NeuronNode:
        """The neuron node of that name."""
        return next(neuron for neuron in self.neurons if neuron.name == name)
