"""Any graph, node by node, with the graph's exact timing.

Within a step every node is computed after its sources; only the edge that closes a cycle carries the value
of the step before. Nothing is composed, and no synapse takes a step: it is the student's own graph. Nodes on
cycles go from step to step together; every other one does all steps at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from graphlib import TopologicalSorter
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import VerificationError
from sne_deploy.frontend.nir.shapes import graph_shapes
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.ir.program import Program
from sne_norse.nodes import Delay, Stateless, make_node

Array = npt.NDArray[Any]

CHUNK_BYTES = 2**23
"""What the nodes of a chunk's samples send: it stays near the core."""
CYCLIC_CHUNK_BYTES = 2**27
"""The same where nodes go from step to step: the more samples, the less each step's calls cost."""


class GraphExecutor:
    """The graph of a Program in float64 on the CPU.

    Raises
    ------
    UnsupportedError
        A node of a type without a rule.
    VerificationError
        A neuron group is no node of the graph.
    """

    slow: tuple[str, ...] = ()
    """No node has another way that is faster."""

    def __init__(self, program: Program) -> None:
        graph = program.graph
        lost = [group.name for group in program.groups if group.name not in graph.nodes]
        if lost:
            raise VerificationError(
                f"student {program.name!r}: neuron groups {', '.join(map(repr, lost))} are no nodes of "
                "its graph; please report this as a bug"
            )
        topology = execution_order(graph)
        self._program = program
        self._shapes = graph_shapes(graph, program.input.shape)
        self._inputs = sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Input))
        self._nodes = {
            name: make_node(name, graph.nodes[name], program.dt_s, program.timesteps, self._shapes[name])
            for name in topology.order
        }
        edges = [(str(a), str(b)) for a, b in graph.edges]
        self._forward = _sources(edge for edge in edges if edge not in topology.back_edges)
        self._back = _sources(edge for edge in edges if edge in topology.back_edges)
        self._blocks = _blocks(topology.order, edges)

    @property
    def chunk(self) -> int:
        """Samples that run together."""
        values = sum(int(np.prod(shape)) for shape in self._shapes.values())
        budget = CYCLIC_CHUNK_BYTES if self._back else CHUNK_BYTES
        return max(1, budget // (8 * self._program.timesteps * values))

    def run(self, inputs: Array) -> Mapping[str, Array]:
        """What the node of every neuron group sends: uint8 spikes or float64, (B, T, *shape).

        Parameters
        ----------
        inputs : uint8 or float64 array of shape (B, T, *shape), or (B, *shape) for a constant current
        """
        program, entering = self._program, self._entering(inputs)
        sent: dict[str, Array] = {}
        rest = self._rest(entering, len(inputs))
        for block in self._blocks:
            if len(block) == 1 and block[0] not in self._back:
                (name,) = block
                x = entering[name] if name in entering else self._sum(name, sent, {})
                sent[name] = self._nodes[name].run(None, x, program.timesteps)
            else:
                sent |= self._cycle(block, sent, rest)
        steps = (len(inputs), program.timesteps)
        return {
            group.name: np.ascontiguousarray(
                np.broadcast_to(sent[group.name], (*steps, *self._shapes[group.name]))
            ).reshape(*steps, *group.shape)
            for group in program.groups
        }

    def _cycle(self, block: tuple[str, ...], sent: Mapping[str, Array], rest: dict[str, Array]) -> Any:
        """What nodes on cycles send, at one step after the other."""
        samples = len(next(iter(sent.values())))
        states = {name: self._nodes[name].start(samples) for name in block}
        last, all_steps = rest, []
        outside = {source for name in block for source in self._forward.get(name, ())} - set(block)
        for t in range(self._program.timesteps):
            now = {
                source: sent[source][:, t : t + 1] if sent[source].shape[1] > 1 else sent[source]
                for source in outside
            }
            for name in block:
                now[name] = self._nodes[name].run(states[name], self._sum(name, now, last), 1)
            all_steps.append(now)
            last = now
        return {name: np.concatenate([now[name] for now in all_steps], axis=1) for name in block}

    def _entering(self, inputs: Array) -> dict[str, Array]:
        """The inputs by the name of their node: a sample joins them in the order of the names."""
        steps = 1 if self._program.constant_input else self._program.timesteps
        flat = inputs.reshape(len(inputs), steps, self._program.input.size)
        entering, start = {}, 0
        for name in self._inputs:
            stop = start + int(np.prod(self._shapes[name]))
            entering[name] = flat[:, :, start:stop].reshape(len(inputs), steps, *self._shapes[name])
            start = stop
        return entering

    def _sum(self, name: str, now: Mapping[str, Array], last: Mapping[str, Array]) -> Array:
        """What enters a node."""
        arriving = [now[source] for source in self._forward.get(name, ())]
        arriving += [last[source] for source in self._back.get(name, ())]
        if len(arriving) == 1:
            return arriving[0]
        return reduce(np.add, [np.asarray(values, np.float64) for values in arriving])

    def _rest(self, entering: Mapping[str, Array], samples: int) -> dict[str, Array]:
        """What back edges carry at the first step: no neuron has spiked, but maps have their biases."""
        constant = self._program.constant_input
        rest = {
            name: values if constant else np.zeros_like(values[:, :1]) for name, values in entering.items()
        }
        for name in {source for sources in self._back.values() for source in sources}:
            self._add_rest(name, rest, samples)
        return rest

    def _add_rest(self, name: str, rest: dict[str, Array], samples: int) -> None:
        """Add what a node sends where no neuron has spiked; affine maps never form a cycle."""
        if name in rest:
            return
        node = self._nodes[name]
        if isinstance(node, Delay) or (isinstance(node, Stateless) and node.affine):
            for source in (*self._forward.get(name, ()), *self._back.get(name, ())):
                self._add_rest(source, rest, samples)
            rest[name] = node.run(None, self._sum(name, rest, rest), 1)
        else:
            rest[name] = np.zeros((samples, 1, *self._shapes[name]))


def _sources(edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    sources: dict[str, list[str]] = {}
    for a, b in edges:
        sources.setdefault(b, []).append(a)
    return sources


def _blocks(order: tuple[str, ...], edges: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Nodes that are on cycles with each other, and every other one alone: sources before targets."""
    place = {name: k for k, name in enumerate(order)}
    ends = ([place[a] for a, _ in edges], [place[b] for _, b in edges])
    joined = sparse.coo_array((np.ones(len(edges)), ends), (len(order), len(order)))
    _, label = sparse.csgraph.connected_components(joined, connection="strong")
    before: dict[Any, set[Any]] = {k: set() for k in label}
    for a, b in zip(*ends, strict=True):
        before[label[b]] |= {label[a]} - {label[b]}
    members: dict[Any, list[str]] = {}
    for name in order:
        members.setdefault(label[place[name]], []).append(name)
    return [tuple(members[k]) for k in TopologicalSorter(before).static_order()]
