"""What a policy would give, from recorded runs, in the very numbers that running it gives.

Thresholds of one measure are judged together. A cascade runs the student at a place of its order on the
samples whose confidence stayed below the threshold at every place before: those whose largest confidence so
far is below it. So each sample enters a place's sums from one threshold on, and the sums at all thresholds
are a histogram and its running sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.ensemble import ActivationPolicy, Measure
from sne_deploy.policies.recorded import Recorded
from sne_deploy.runtime.activation import activated, confidence
from sne_deploy.runtime.head import joined

Array = npt.NDArray[Any]
Places = tuple[int, ...]
"""Students in the order in which they run."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Totals over N samples of P policies.

    Attributes
    ----------
    samples : int
    right : int64 array of shape (P,)
        Samples whose predicted class is the label.
    ran : int64 array of shape (P,)
        Students that ran, over all samples.
    totals : mapping of str to int64 array of shape (P,)
        Sums of the counts, the head's and the gate's among ``host_macs``.
    seconds : float64 array of shape (P,), or None
        Sum of the latencies.
    """

    samples: int
    right: Array
    ran: Array
    totals: dict[str, Array]
    seconds: Array | None

    def __add__(self, other: Outcome) -> Outcome:
        """The same policies over both samples."""
        totals = {name: total + other.totals[name] for name, total in self.totals.items()}
        seconds = None if self.seconds is None or other.seconds is None else self.seconds + other.seconds
        samples, right, ran = self.samples + other.samples, self.right + other.right, self.ran + other.ran
        return Outcome(samples, right, ran, totals, seconds)


class Subsets:
    """The head with each set of students: whether it is right, how sure it is; each worked out once."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self._right: dict[frozenset[int], Array] = {}
        self._sure: dict[tuple[Measure, frozenset[int]], Array] = {}

    def right(self, students: Sequence[int]) -> Array:
        """Bool array of shape (N,)."""
        key = frozenset(students)
        if key not in self._right:
            self._right[key] = np.asarray(self._logits(key).argmax(axis=1) == self.recorded.labels)
        return self._right[key]

    def sure(self, measure: Measure, students: Sequence[int]) -> Array:
        """The confidence, float64 array of shape (N,)."""
        key = (measure, frozenset(students))
        if key not in self._sure:
            self._sure[key] = confidence(measure, self._logits(key[1]))
        return self._sure[key]

    def _logits(self, students: frozenset[int]) -> Array:
        active = np.zeros((1, self.recorded.students), dtype=bool)
        active[0, list(students)] = True
        return joined(self.recorded.head, self.recorded.parts, active)


def places(policy: ActivationPolicy, students: int) -> Places:
    """The students that may run, in their order."""
    return (policy.order or tuple(range(students)))[: policy.students]


def outcome(subsets: Subsets, policies: Sequence[ActivationPolicy]) -> Outcome:
    """Judge policies; equal to running them, count for count.

    Parameters
    ----------
    subsets : Subsets
        Of the recorded run.
    policies : sequence of ActivationPolicy
        Of any kinds; a gate is the one that was recorded.
    """
    recorded = subsets.recorded
    table = np.zeros((len(policies), 2 + recorded.costs.shape[1]))
    grouped: dict[Any, list[int]] = defaultdict(list)
    for index, policy in enumerate(policies):
        grouped[policy.kind, policy.measure].append(index)
    for (kind, measure), which in grouped.items():
        chosen = [policies[index] for index in which]
        if kind == "confidence":
            table[which] = _cascades(subsets, measure, chosen)
        elif kind == "gate":
            table[which] = [_gated(recorded, policy.threshold or 1.0) for policy in chosen]
        else:
            table[which] = [_static(subsets, places(policy, recorded.students)) for policy in chosen]
    counted = 2 + len(recorded.counts)
    right, ran, *totals = np.rint(table[:, :counted]).astype(np.int64).T
    seconds = table[:, counted] if recorded.timed is not None else None
    return Outcome(len(recorded), right, ran, dict(zip(recorded.counts, totals, strict=True)), seconds)


def _static(subsets: Subsets, students: Places) -> Array:
    """A row of the table: right, ran, counts."""
    recorded = subsets.recorded
    sums = recorded.costs[list(students)].sum(axis=(0, 2))
    if recorded.timed is not None:
        active = np.isin(np.arange(recorded.students), students)
        sums[-1] = recorded.timed.together(np.tile(active, (len(recorded), 1))).sum()
    return np.array([subsets.right(students).sum(), len(students) * len(recorded), *sums])


def _gated(recorded: Recorded, threshold: float) -> Array:
    record = recorded.gate
    assert record is not None  # noqa: S101  such policies are made of it
    active = activated(record.logits, threshold)
    right = joined(recorded.head, recorded.parts, active).argmax(axis=1) == recorded.labels
    sums = np.einsum("kqn,nk->q", recorded.costs, active)
    sums[list(recorded.counts).index("host_macs")] += record.macs.sum()
    if recorded.timed is not None:
        sums[-1] = recorded.timed.together(active).sum()
    return np.array([right.sum(), active.sum(), *sums])


def _cascades(subsets: Subsets, measure: Measure, policies: Sequence[ActivationPolicy]) -> Array:
    """Rows of cascades of one measure, of any orders and thresholds."""
    limits = [policy.threshold or 1.0 for policy in policies]
    thresholds, column = np.unique(limits, return_inverse=True)
    wanted: dict[Places, list[int]] = defaultdict(list)
    for index, policy in enumerate(policies):
        wanted[places(policy, subsets.recorded.students)].append(index)
    rows = np.zeros((len(policies), 2 + subsets.recorded.costs.shape[1]))
    for order, sums in _orders(subsets, measure, thresholds, list(wanted)):
        rows[wanted[order]] = sums[:, column[wanted[order]]].T
    return rows


def _orders(
    subsets: Subsets, measure: Measure, thresholds: Array, orders: Sequence[Places]
) -> Iterator[tuple[Places, Array]]:
    """The sums of each order at each threshold, (2 + quantities, thresholds); beginnings are shared."""
    begun: list[tuple[Places, Array, Array]] = []  # an order's beginnings: places, sums, largest confidence
    for order in sorted(orders):
        while begun and order[: len(begun[-1][0])] != begun[-1][0]:
            begun.pop()
        for place in range(len(begun), len(order)):
            begun.append(_one_more(subsets, measure, thresholds, order[: place + 1], begun))
        yield order, begun[-1][1]


def _one_more(
    subsets: Subsets,
    measure: Measure,
    thresholds: Array,
    order: Places,
    begun: Sequence[tuple[Places, Array, Array]],
) -> tuple[Places, Array, Array]:
    """The sums with the order's last student after those before it."""
    recorded, sure = subsets.recorded, subsets.sure(measure, order)
    right, ones = subsets.right(order).astype(np.float64), np.ones(len(recorded))
    values = [right, ones, *recorded.costs[order[-1]]]
    if not begun:
        sums = np.array([value.sum() for value in values])
        return order, np.repeat(sums[:, None], len(thresholds), axis=1), sure
    before, sums, largest = begun[-1]
    values[0] = right - subsets.right(before)
    first = np.searchsorted(thresholds, largest, side="right")  # the first threshold that is above it
    counted = [np.bincount(first, value, len(thresholds) + 1)[:-1] for value in values]
    return order, sums + np.cumsum(counted, axis=1), np.maximum(largest, sure)
