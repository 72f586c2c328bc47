"""Groups that a cycle joins: they run together, step by step, in one kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_loihi import kernels
from sne_loihi.neurons import Kernel
from sne_loihi.operators import Operator
from sne_loihi.plan import GroupRun, Plan

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Cycle:
    """The groups of a block as :func:`sne_loihi.kernels.run_cycles` wants them.

    Attributes
    ----------
    names : tuple of str
    outside : mapping of group name to the operators that come from outside the cycle
    counted : bool
        Whether u and v that leave their registers are counted.
    kernel, starts, first, links, joined, registers, v_init
        See the kernel.
    """

    names: tuple[str, ...]
    kernel: Kernel
    counted: bool
    outside: Mapping[str, tuple[Operator, ...]]
    starts: Array
    first: Array
    links: Array
    joined: tuple[Array, ...]
    registers: Array
    v_init: Array

    @staticmethod
    def of(names: tuple[str, ...], plan: Plan) -> Cycle:
        """Join the groups' registers, and the weights of the synapses between them."""
        neurons = [plan.neurons[name] for name in names]
        starts = _starts([each.group.size for each in neurons])
        inside = [[o for o in plan.operators[name] if o.synapse.source in names] for name in names]
        operators = [operator for found in inside for operator in found]
        links = np.zeros(len(operators), kernels.LINK)
        bases, joined = _joined(operators)
        for link, operator, base in zip(links, operators, bases, strict=True):
            form, *_, width = operator.events
            link["start"] = starts[names.index(operator.synapse.source)]
            link["n_in"], link["lag"] = operator.shape[1], plan.lag(operator)
            link["shift"], link["form"] = operator.shift, form
            link["base"], link["width"] = base, width
        return Cycle(
            names=names,
            kernel=neurons[0].kernel,
            counted=any(each.counted for each in neurons),
            outside={
                name: tuple(o for o in plan.operators[name] if o.synapse.source not in names)
                for name in names
            },
            starts=starts,
            first=_starts([len(found) for found in inside]),
            links=links,
            joined=joined,
            registers=np.concatenate([each.registers for each in neurons], axis=1),
            v_init=np.concatenate([each.v_init for each in neurons]),
        )

    def run(
        self, a_in: Sequence[Array | None], constant: Sequence[Array], shape: tuple[int, int], *, record: bool
    ) -> dict[str, GroupRun]:
        """Run all groups; samples and steps are ``shape``, the other arguments are one for each group."""
        samples, steps = shape
        n, groups = int(self.starts[-1]), len(self.names)
        spikes, counts = np.empty(samples * steps * n, np.uint8), np.empty((samples, n), np.int32)
        active, fired = np.empty((groups, samples), np.int64), np.empty((groups, samples), np.int64)
        outside = np.zeros((groups if self.counted else 0, samples, 2), np.int64)
        states = (np.empty(spikes.shape, np.int32), np.empty(spikes.shape, np.int32)) if record else None
        rows = max(len(each) for each in constant)
        kernels.compiled(self.kernel.update, self.kernel.outside).run_cycles(
            self._flat(a_in, samples * steps),
            np.concatenate([np.broadcast_to(each, (rows, each.shape[1])) for each in constant], axis=1),
            self.starts,
            self.first,
            self.links,
            self.joined,
            self.registers,
            self.v_init,
            (spikes, counts, active, fired, outside),
            states,
        )
        found = {}
        for index, (name, (low, high)) in enumerate(zip(self.names, pairwise(self.starts), strict=True)):
            here = slice(low * samples * steps, high * samples * steps)
            full = (samples, steps, high - low)
            u, v = (None, None) if states is None else (state[here].reshape(full) for state in states)
            found[name] = GroupRun(
                active=active[index],
                fired=fired[index],
                counts=np.ascontiguousarray(counts[:, low:high]),
                spikes=spikes[here].reshape(full),
                u=u,
                v=v,
                outside=outside[index] if self.counted else None,
            )
        return found

    def _flat(self, a_in: Sequence[Array | None], rows: int) -> Array | None:
        """The groups' input from outside, one after the other; None where there is none."""
        if all(each is None for each in a_in):
            return None
        if len(a_in) == 1 and a_in[0] is not None:
            return a_in[0].reshape(-1)
        sizes = np.diff(self.starts)
        parts = [
            np.zeros(rows * size, np.int32) if each is None else each.reshape(-1)
            for each, size in zip(a_in, sizes, strict=True)
        ]
        return np.concatenate(parts)


def _starts(sizes: Sequence[int]) -> Array:
    """int64: where each of the parts begins, and the last one ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)


def _joined(operators: Sequence[Operator]) -> tuple[list[int], tuple[Array, ...]]:
    """Where each synapse's own arrays begin, and rows, indptr, indices, values, origins of all.

    What points into an array is moved by what comes before in it.
    """
    bases: list[int] = []
    parts: tuple[list[Array], ...] = ([], [], [], [], [])
    for operator in operators:
        form, _, rows, indptr, indices, values, origins, _ = operator.events
        row, column, entry, _, origin = (sum(map(len, part)) for part in parts)
        if form == kernels.CONV:
            entry //= 2  # pairs
            moved = origins.reshape(-1, 3) + np.array([column, row, 0])
            origins = moved.astype(np.int32).ravel()
        entries = len(indices) + len(indices) % 2  # pairs stay pairs, and values at their indices
        padded = (np.pad(each, (0, entries - len(each))) for each in (indices, values))
        for part, more in zip(parts, (rows, indptr + entry, *padded, origins), strict=True):
            part.append(more)
        bases.append({kernels.DENSE: row, kernels.COLUMNS: column, kernels.CONV: origin}[form])
    return bases, tuple(np.concatenate(part) for part in parts)
