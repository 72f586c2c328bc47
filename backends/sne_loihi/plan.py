"""A Program laid out for this machine: registers, operators, and what runs after what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from sne_deploy.ir.bounds import register_bounds
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program
from sne_loihi.neurons import Kernel, kernel_of
from sne_loihi.operators import Operator
from sne_loihi.order import NeuronOrder, orders

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Neurons:
    """A group's kernel, with its registers, int32 (m, n), and first v, int32 (n,), in the inner order.

    ``counted``: u and v that leave their registers are counted: by a kernel that can, unless bounds prove
    that there are none.
    """

    group: NeuronGroup
    kernel: Kernel
    registers: Array
    v_init: Array
    counted: bool

    @staticmethod
    def of(group: NeuronGroup, kernel: Kernel, order: NeuronOrder, *, counted: bool) -> Neurons:
        """Expand and reorder."""

        def expand(value: Array) -> Array:
            full = np.broadcast_to(np.asarray(value, dtype=np.int32), (group.size,))
            return order.inside(full).copy()

        registers = np.stack(kernel.registers(group, expand))
        return Neurons(group, kernel, registers, expand(group.v_init), counted and kernel.outside is not None)

    def room_outside(self, samples: int) -> Array:
        """Zeros, int64 (B, 2), for how often u and v leave their registers; (0, 2): not counted."""
        return np.zeros((samples if self.counted else 0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class GroupRun:
    """What one group did in a chunk of B samples; arrays over neurons are in the inner order."""

    active: Array
    fired: Array
    counts: Array | None = None
    spikes: Array | None = None
    readout: Array | None = None
    u: Array | None = None
    v: Array | None = None
    outside: Array | None = None
    """Updates that corrected u and that clipped v, int64 (B, 2); None where they were not counted."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A Program laid out for this machine.

    Attributes
    ----------
    program : Program
    orders : mapping
    neurons : mapping
    operators : mapping of group name to its incoming operators, the always-on axon's excluded
    always_on : mapping of group name to int32 (n,)
        What the always-on axon adds at every step.
    blocks : tuple of tuple of str
        Groups in the order in which they run; those of one block are on cycles with each other.
    """

    program: Program
    orders: Mapping[str, NeuronOrder]
    neurons: Mapping[str, Neurons]
    operators: Mapping[str, tuple[Operator, ...]]
    always_on: Mapping[str, Array]
    blocks: tuple[tuple[str, ...], ...]

    @staticmethod
    def of(program: Program) -> Plan:
        """Lay out."""
        places = orders(program)
        operators: dict[str, tuple[Operator, ...]] = {}
        always_on: dict[str, Array] = {}
        for group in program.groups:
            order = places[group.name]
            incoming = program.synapses_into(group.name)
            operators[group.name] = tuple(
                Operator(s, places[s.source], order) for s in incoming if s.source != ALWAYS_ON
            )
            constant = np.zeros(group.size, np.int32)
            for synapse in (s for s in incoming if s.source == ALWAYS_ON):
                column = synapse.weights.matrix().toarray()[:, 0].astype(np.int32)
                constant += column << np.int32(synapse.weight_exp)
            always_on[group.name] = order.inside(constant)
        blocks = blocks_of(program)
        bounds, formats = register_bounds(program), program.registers
        kernels = {block: kernel_of([program.group(name) for name in block]) for block in blocks}
        return Plan(
            program=program,
            orders=places,
            neurons={
                name: Neurons.of(
                    program.group(name),
                    kernel,
                    places[name],
                    counted=bounds[name].v_may_saturate(formats),
                )
                for block, kernel in kernels.items()
                for name in block
            },
            operators=operators,
            always_on=always_on,
            blocks=blocks,
        )

    def lag(self, operator: Operator) -> int:
        """Steps within the sample from sending to delivery."""
        return self.program.lag(operator.synapse)

    def is_cycle(self, block: tuple[str, ...]) -> bool:
        """Whether the groups of a block drive themselves or each other."""
        return any(o.synapse.source in block for name in block for o in self.operators[name])

    def constant(self, name: str, constants: Mapping[str, Array]) -> Array:
        """int32 (1 or B, n): what reaches a group at every step, from the always-on axon and the host.

        (B, T, n) where the host sends something else at each step.
        """
        always = self.always_on[name][None]
        if name not in constants:
            return always
        return np.ascontiguousarray(self.orders[name].inside(constants[name]) + always)


def blocks_of(program: Program) -> tuple[tuple[str, ...], ...]:
    """Groups that a cycle joins, and every other group alone; each block after all that send to it.

    Within a block, groups stay in the Program's order: what arrives at the step at which it was sent comes
    from a group that is earlier there.
    """
    names = [group.name for group in program.groups]
    place = {name: index for index, name in enumerate(names)}
    ends = [(place[s.source], place[s.target]) for s in program.synapses if s.source in place]
    sources, targets = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    joined = sparse.coo_matrix((np.ones(len(ends)), (sources, targets)), shape=(len(names), len(names)))
    _, labels = connected_components(joined, connection="strong")
    members: dict[int, list[str]] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        members.setdefault(label, []).append(name)
    order = TopologicalSorter({label: set[int]() for label in members})
    for source, target in ends:
        if labels[source] != labels[target]:
            order.add(int(labels[target]), int(labels[source]))
    return tuple(tuple(members[label]) for label in order.static_order())
