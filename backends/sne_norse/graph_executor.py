"""Any graph, node by node and step by step, with the graph's exact timing.

Within a step every node is computed after its sources; only the edge that closes a cycle carries the value
of the step before. Nothing is composed, and no synapse takes a step: it is the student's own graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.errors import VerificationError
from sne_deploy.frontend.nir.shapes import graph_shapes
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.ir.program import Program
from sne_norse.nodes import AffineMap, Delay, Threshold, make_node

Array = npt.NDArray[Any]
Tensors = Mapping[str, torch.Tensor]

CHUNK, CHUNK_BYTES = 256, 2**27
"""Samples that run together, and what they send."""


class GraphExecutor:
    """The graph of a Program in float64 on the CPU.

    Raises
    ------
    UnsupportedError
        A node of a type without a rule.
    VerificationError
        A neuron group is no node of the graph.
    """

    def __init__(self, program: Program) -> None:
        graph = program.graph
        lost = [group.name for group in program.groups if group.name not in graph.nodes]
        if lost:
            raise VerificationError(
                f"student {program.name!r}: neuron groups {', '.join(map(repr, lost))} are no nodes of "
                "its graph; please report this as a bug"
            )
        topology = execution_order(graph)
        self._program, self._order = program, topology.order
        self._shapes = graph_shapes(graph, program.input.shape)
        self._inputs = sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Input))
        self._nodes = {
            name: make_node(name, graph.nodes[name], program.dt_s, program.timesteps)
            for name in topology.order
        }
        edges = [(str(a), str(b)) for a, b in graph.edges]
        self._forward = _sources(edge for edge in edges if edge not in topology.back_edges)
        self._back = _sources(edge for edge in edges if edge in topology.back_edges)
        self._steady = self._steady_nodes() if program.constant_input else frozenset()

    @property
    def slow(self) -> tuple[str, ...]:
        """No node has another way that is faster."""
        return ()

    @property
    def chunk(self) -> int:
        """Samples that run together."""
        program = self._program
        sent = sum(group.size * (1 if group.spiking else 8) for group in program.groups)
        now = 8 * sum(int(np.prod(shape)) for shape in self._shapes.values())
        return max(1, min(CHUNK, CHUNK_BYTES // (program.timesteps * sent + now)))

    def run(self, inputs: Array) -> Mapping[str, Array]:
        """What every group sends: uint8 spikes or float64 membranes, (B, T, *shape); see :meth:`steps`."""
        shape = (len(inputs), self._program.timesteps)
        sent = {
            group.name: np.empty((*shape, *group.shape), np.uint8 if group.spiking else np.float64)
            for group in self._program.groups
        }
        for t, values in enumerate(self.steps(inputs)):
            for name, raster in sent.items():
                raster[:, t] = values[name].reshape(raster[:, t].shape)
        return sent

    def steps(self, inputs: Array) -> Iterator[Mapping[str, Array]]:
        """What the node of every neuron group sends, at one step after the other.

        Parameters
        ----------
        inputs : array of shape (N, T, *shape), or (N, *shape) for currents

        Yields
        ------
        mapping of group name to float64 array of shape (N, ...)
        """
        states: dict[str, Any] = {}
        last = self._before(inputs)
        for t in range(self._program.timesteps):
            entering = self._entering(inputs if self._program.constant_input else inputs[:, t])
            sent: dict[str, torch.Tensor] = {}
            for name in self._order:
                if t and name in self._steady:
                    sent[name] = last[name]
                    continue
                x = entering[name] if name in entering else self._sum(name, sent, last)
                states[name], sent[name] = self._nodes[name].step(states.get(name), x)
            yield {group.name: sent[group.name].numpy() for group in self._program.groups}
            last = sent

    def _entering(self, x: Array) -> dict[str, torch.Tensor]:
        """The inputs of a step, by the name of their node: a sample joins them in the order of the names."""
        flat = np.asarray(x, dtype=np.float64).reshape(len(x), self._program.input.size)
        entering, start = {}, 0
        for name in self._inputs:
            shape = self._shapes[name]
            stop = start + int(np.prod(shape))
            entering[name] = torch.tensor(flat[:, start:stop]).reshape(len(x), *shape)
            start = stop
        return entering

    def _sum(self, name: str, sent: Tensors, last: Tensors) -> torch.Tensor:
        """What enters a node."""
        arriving = [sent[source] for source in self._forward.get(name, ())]
        arriving += [last[source] for source in self._back.get(name, ())]
        return reduce(torch.add, arriving)

    def _before(self, inputs: Array) -> dict[str, torch.Tensor]:
        """What back edges carry at the first step: no neuron has spiked, but maps have their biases."""
        if self._program.constant_input:
            before = self._entering(inputs)
        else:
            before = self._entering(np.zeros((len(inputs), self._program.input.size)))
        for name in {source for sources in self._back.values() for source in sources}:
            self._add_rest(name, before, len(inputs))
        return before

    def _add_rest(self, name: str, rest: dict[str, torch.Tensor], samples: int) -> None:
        """Add what a node sends where no neuron has spiked; affine maps never form a cycle."""
        if name in rest:
            return
        node = self._nodes[name]
        sources = (*self._forward.get(name, ()), *self._back.get(name, ()))
        if isinstance(node, (AffineMap, Delay)):
            for source in sources:
                self._add_rest(source, rest, samples)
            _, rest[name] = node.step(None, reduce(torch.add, (rest[source] for source in sources)))
        else:
            rest[name] = torch.zeros((samples, *self._shapes[name]), dtype=torch.float64)

    def _steady_nodes(self) -> frozenset[str]:
        """Nodes that send the same at every step of a constant input."""
        steady: set[str] = set()
        for name in self._order:
            known = name in self._inputs or set(self._forward.get(name, ())) <= steady
            if known and name not in self._back and isinstance(self._nodes[name], (AffineMap, Threshold)):
                steady.add(name)
        return frozenset(steady)


def _sources(edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    sources: dict[str, list[str]] = {}
    for a, b in edges:
        sources.setdefault(b, []).append(a)
    return sources
