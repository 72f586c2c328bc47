"""Pass: NIR graph -> Network. Time constants become fractions per step; every map becomes weights.

Several inputs become one: the sample holds their values, flattened and joined in the order of their names,
and each input node selects its own. Not modelled: nested graphs, which are inlined before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.primitives import kind_of
from sne_deploy.frontend.nir.shapes import graph_shapes
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.ir.network import DelayNode, LinearNode, Network, NeuronNode
from sne_deploy.ir.program import ALWAYS_ON, ProgramInput
from sne_deploy.ir.weights import SparseWeights
from sne_deploy.model.ensemble import Readout
from sne_deploy.passes.lower_maps import LINEAR_NODES
from sne_deploy.passes.lower_neurons import lower_neurons

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
_MAX_STEPS = 2**31 - 1
ROUNDING_STEPS = 0.01
"""A delay may be so far from a whole number of steps without a warning."""


@dataclass(frozen=True)
class LowerNir:
    """Make time discrete. Requires a normalised graph; produces a Network with linear nodes and edges."""

    student: str
    input: ProgramInput
    readout: Readout
    timesteps: int

    def apply(self, graph: nir.NIRGraph) -> Network:
        """Lower every node.

        Raises
        ------
        UnsupportedError
            Lists every node of an unknown type.
        GraphError
            dt is missing, shapes do not chain, or a fraction lies outside (0, 1].
        """
        dt_s = _dt_s(graph, self.student)
        shapes = graph_shapes(graph, self.input.shape)
        source_of = {target: source for source, target in graph.edges}
        neurons: list[NeuronNode] = []
        linears: list[LinearNode] = []
        delays: list[DelayNode] = []
        warnings: list[str] = []
        for name, node in graph.nodes.items():
            kind = kind_of(node)
            if name == ALWAYS_ON and (kind == "neurons" or isinstance(node, nir.Input)):
                raise GraphError(
                    f"student {self.student!r}: node {name!r} has the name of what sends biases; give it "
                    "another"
                )
            if kind == "neurons":
                neurons.append(lower_neurons(name, node, shapes[name], dt_s))
            elif kind == "map":
                linears.append(LINEAR_NODES[type(node)](name, node, shapes[source_of[name]], shapes[name]))
            elif kind == "delay":
                delay, rounded = _delay(name, node, shapes[name], dt_s)
                delays.append(delay)
                warnings += [f"student {self.student!r}, {text}" for text in rounded]
        name, selections, joints = _joined_inputs(graph, shapes)
        return Network(
            name=self.student,
            input=ProgramInput(name, self.input.shape, self.input.kind, self.input.range),
            outputs=tuple(sorted(n for n, node in graph.nodes.items() if isinstance(node, nir.Output))),
            readout=self.readout,
            timesteps=self.timesteps,
            dt_s=dt_s,
            graph=graph,
            neurons=tuple(neurons),
            linears=(*linears, *selections),
            delays=tuple(delays),
            edges=(*((str(a), str(b)) for a, b in graph.edges), *joints),
            back_edges=execution_order(graph).back_edges,
            warnings=tuple(warnings),
        )


def _dt_s(graph: nir.NIRGraph, student: str) -> float:
    value = graph.metadata.get("dt_s")
    if value is None:
        raise GraphError(
            f"student {student!r}: the graph names no time step (NIR has none); give one in seconds: "
            "--dt-s, dt_s=, or 'dt_s' in the graph's metadata"
        )
    dt_s = float(value)
    if not (np.isfinite(dt_s) and dt_s > 0):
        raise GraphError(f"student {student!r}: dt_s {dt_s} must be a positive number of seconds")
    return dt_s


def _joined_inputs(
    graph: nir.NIRGraph, shapes: dict[str, Shape]
) -> tuple[str, list[LinearNode], list[tuple[str, str]]]:
    """The Program's input, and for several input nodes what selects each one's values."""
    names = sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Input))
    if len(names) == 1:
        return names[0], [], []
    joined = "+".join(names)
    while joined in graph.nodes:
        joined += "+"
    sizes = [int(np.prod(shapes[name])) for name in names]
    starts = np.cumsum([0, *sizes[:-1]])
    selections = [
        LinearNode(name, SparseWeights(sparse.eye(size, sum(sizes), int(start), format="csr")), None)
        for name, size, start in zip(names, sizes, starts, strict=True)
    ]
    return joined, selections, [(joined, name) for name in names]


def _delay(name: str, node: nir.Delay, shape: Shape, dt_s: float) -> tuple[DelayNode, list[str]]:
    """Delays in whole steps, with a warning where rounding them changes them."""
    exact = np.broadcast_to(np.asarray(node.delay, dtype=np.float64), shape).reshape(-1) / dt_s
    if bool(np.any(exact < 0)):
        raise GraphError(f"node {name!r}: delay {exact.min() * dt_s:g} s is negative; give 0 s or more")
    if bool(np.any(exact > _MAX_STEPS)):
        raise GraphError(f"node {name!r}: delay {exact.max() * dt_s:g} s is more than {_MAX_STEPS} steps")
    steps = np.rint(exact)
    error = float(np.max(np.abs(exact - steps)))
    rounded = f"node {name!r}: delays are rounded to whole steps of {dt_s:g} s, by up to {error:.2g} steps"
    return DelayNode(name, steps.astype(np.int64)), [rounded] if error > ROUNDING_STEPS else []
