"""Which policies are tried: sets of students, orders, measures, thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.ensemble import ActivationPolicy, Measure
from sne_deploy.policies.outcome import Places, Subsets, places
from sne_deploy.policies.thresholds import thresholds
from sne_deploy.runtime.head import joined

Array = npt.NDArray[Any]
ALL_ORDERS = 5
"""Up to so many students every order is tried: 120 of five."""
BEAMS = 40
"""Above it, a beam search keeps so many beginnings of orders, divided by the students, of each length."""
BEAM_SAMPLES = 2000
"""On which those are compared."""


@dataclass(frozen=True)
class Search:
    """What is tried.

    Attributes
    ----------
    measures : tuple of Measure
    thresholds : int
        Of each measure, and of the gate.
    """

    measures: tuple[Measure, ...]
    thresholds: int


def candidates(
    subsets: Subsets, orders: Sequence[Places], search: Search, own: ActivationPolicy
) -> tuple[ActivationPolicy, ...]:
    """Every policy that is tried; the model's own is the first.

    Parameters
    ----------
    subsets : Subsets
        Of the samples on which thresholds are found.
    orders : sequence of permutations of the students
    search : Search
    own : ActivationPolicy
    """
    recorded = subsets.recorded
    begun = sorted({order[:length] for order in orders for length in range(1, len(order) + 1)}, key=_short)
    found = [own]
    found += [_static(each, recorded.students) for each in {tuple(sorted(one)): None for one in begun}]
    several = [_whole(each, recorded.students) for each in begun if len(each) > 1]
    for measure in search.measures if several else ():
        sets = {frozenset(each): each for each in begun if len(each) < recorded.students}
        values = [subsets.sure(measure, each) for each in sets.values()]
        for limit in thresholds(np.concatenate(values), search.thresholds):
            found += [ActivationPolicy("confidence", *_at(limit, one), measure) for one in several]
    record = recorded.gate
    if record is not None:
        for limit in thresholds(1 / (1 + np.exp(-record.logits.ravel())), search.thresholds):
            found.append(ActivationPolicy("gate", own.order, limit, gate=record.gate))
    return tuple(dict.fromkeys(found))


def _at(threshold: float, chosen: tuple[Places, int | None]) -> tuple[Places, float, int | None]:
    order, students = chosen
    return order, threshold, students


def _short(order: Places) -> tuple[int, Places]:
    return len(order), order


def _whole(begun: Places, students: int) -> tuple[Places, int | None]:
    """A policy's order and number of students, for those that may run."""
    order = (*begun, *(k for k in range(students) if k not in begun))
    return (() if order == tuple(range(students)) else order), (len(begun) if len(begun) < students else None)


def _static(chosen: Places, students: int) -> ActivationPolicy:
    order, count = _whole(chosen, students)
    return ActivationPolicy("static", order, students=count)


def without(policy: ActivationPolicy, student: int, students: int) -> ActivationPolicy | None:
    """The same policy over the other students; None where there are none left."""
    left = tuple(k for k in places(policy, students) if k != student)
    if not left:
        return None
    order, count = _whole(left, students)
    return ActivationPolicy(policy.kind, order, policy.threshold, count, policy.measure)


def orders_to_try(
    subsets: Subsets, energy_j: Array, own: ActivationPolicy
) -> tuple[tuple[Places, ...], bool]:
    """Orders of all students, and whether these are all orders there are.

    Of more than :data:`ALL_ORDERS` students: the model's own, by rising energy, and what two beam searches
    keep, of which one goes by the accuracy of the head, the other by accuracy over energy.

    Parameters
    ----------
    subsets : Subsets
    energy_j : float64 array of shape (students,)
        Mean energy of each.
    own : ActivationPolicy
    """
    students = len(energy_j)
    if students <= ALL_ORDERS:
        return tuple(permutations(range(students))), True
    found = [own.order or tuple(range(students)), tuple(int(k) for k in np.argsort(energy_j, kind="stable"))]
    for price in (None, energy_j):
        for begun in reversed(list(_beam(subsets, price))):
            if all(order[: len(begun)] != begun for order in found):
                found.append((*begun, *(k for k in found[1] if k not in begun)))
    return tuple(dict.fromkeys(found)), False


def _beam(subsets: Subsets, price: Array | None) -> Iterator[Places]:
    """Beginnings of orders, the shorter first: of the most accurate sets, or the most accurate per price."""
    recorded = subsets.recorded.taken(np.arange(min(len(subsets.recorded), BEAM_SAMPLES)))
    students, bias = recorded.students, recorded.head.subset_bias
    head = replace(recorded.head, temperature=None)  # no temperature changes which class is largest
    none = np.zeros((1, students), dtype=bool)
    kept: list[tuple[Places, Array]] = [((), joined(head, recorded.parts, none))]
    for size in range(students):
        added = 0.0 if bias is None else bias[size]
        reached: dict[frozenset[int], tuple[float, Places, Array]] = {}
        for order, sums in kept:
            for k in set(range(students)) - set(order):
                begun, more = (*order, k), sums + recorded.parts[k]
                right = float(((more + added).argmax(axis=1) == recorded.labels).mean())
                worth = right if price is None else right / float(price[list(begun)].sum())
                if frozenset(begun) not in reached:
                    reached[frozenset(begun)] = (worth, begun, more)
        best = sorted(reached.values(), key=lambda each: (-each[0], each[1]))[: max(1, BEAMS // students)]
        kept = [(begun, sums) for _, begun, sums in best]
        yield from (begun for begun, _ in kept)
