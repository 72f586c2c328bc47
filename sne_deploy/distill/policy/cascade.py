"""A cascade as a whole: in which order students run, and how sure is enough after each number of them.

Confidences after one and after several students mean different things: the mean of several answers is less
sure of itself, and a small student may be too sure. One threshold serves all of them once the logits of each
number of students are divided by a temperature of its own. That is first the one of least cross-entropy (Guo
et al. 2017, "On calibration of modern neural networks", ICML, 1321-1330), so that a confidence is about the
probability of being right; then the temperatures are moved, one after the other, while that makes the cascade
cheaper, or more accurate: as good as a threshold for each number of students. Temperatures are found on every
second sample, the threshold on all of them: what has several free numbers meets a target on the samples that
it was fitted to more easily than on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.policy.confidences import Confidences
from sne_deploy.distill.policy.fitting import ROUNDING, FittedPolicy, Runs, Target, best_order, fit_confidence
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head, Measure
from sne_deploy.runtime.activation import confidence
from sne_deploy.runtime.head import logits

Array = npt.NDArray[Any]
Order = tuple[int, ...]
ALL_ORDERS = 6
"""Students of which every order is tried: 720 orders."""
CALIBRATED = 24
"""Orders, those that are worth most without, that are tried with temperatures too."""
COLDEST, HOTTEST, HALVINGS = 0.02, 50.0, 40
"""Temperatures that are looked for, and steps of the search: to a part in 10^9."""
FACTORS = tuple(2.0 ** (step / 4) for step in range(-6, 7) if step)
"""By which a temperature is moved, from about a third to about three times."""
ROUNDS = 2
"""How often each is."""


@dataclass(frozen=True, eq=False)
class FittedCascade:
    """A policy, and the head that it is for.

    Attributes
    ----------
    head : Head
    fitted : FittedPolicy
    """

    head: Head
    fitted: FittedPolicy


def orders(runs: Runs) -> tuple[Order, ...]:
    """Orders worth a try: all of a few students; of more, the greedy one and the cheapest first."""
    if runs.students <= ALL_ORDERS:
        return tuple(permutations(range(runs.students)))
    cheapest = tuple(int(k) for k in np.argsort(runs.energy_j.mean(axis=0), kind="stable"))
    return tuple(dict.fromkeys((best_order(runs), cheapest)))


def fit_cascade(
    runs: Runs, target: Target, tried: Sequence[Order], measure: Measure = "max_probability"
) -> FittedCascade:
    """The order, the temperatures and the threshold that meet a target best; see :func:`choose`.

    Parameters
    ----------
    runs : Runs
        Of validation samples.
    target : Target
    tried : sequence of tuples of int
        Orders.
    measure : Measure

    Raises
    ------
    InputError
        Nothing meets the target.
    """
    plain = np.ones(runs.students)
    part, whole = _Begun(runs.taken(slice(None, None, 2)), measure), _Begun(runs, measure)
    searches = sorted((_Search(part, target, order) for order in tried), key=lambda one: one.worth(plain))
    found = [(search, plain) for search in searches[:CALIBRATED]]
    found += [(search, search.calibrated()) for search, _ in found]
    search, temperature = min(found, key=lambda each: each[0].worth(each[1]))
    settings = [(search.order, search.moved(temperature))]
    settings += [(one.order, plain) for one in searches[:CALIBRATED]]
    order, temperature = min(settings, key=lambda one: _Search(whole, target, one[0]).worth(one[1]))
    changed = bool((temperature != 1.0).any())
    head = replace(runs.head, temperature=temperature) if changed else runs.head
    return FittedCascade(head, fit_confidence(replace(runs, head=head), target, order, measure))


class _Begun:
    """What the head says when some students have run, in whatever order: many orders begin alike."""

    def __init__(self, runs: Runs, measure: Measure) -> None:
        self.runs, self.measure = runs, measure
        self._plain = replace(runs.head, temperature=None)
        self._logits: dict[frozenset[int], Array] = {}
        self._right: dict[frozenset[int], Array] = {}
        self._sure: dict[frozenset[int], Array] = {}
        self._calibrated: dict[frozenset[int], float] = {}

    def logits(self, ran: frozenset[int]) -> Array:
        """Without temperatures."""
        if ran not in self._logits:
            self._logits[ran] = logits(self._plain, self.runs.outputs, self.runs.only(sorted(ran)))
        return self._logits[ran]

    def right(self, ran: frozenset[int]) -> Array:
        """Whether it is, which no temperature changes."""
        if ran not in self._right:
            self._right[ran] = self.logits(ran).argmax(axis=1) == self.runs.labels
        return self._right[ran]

    def sure(self, ran: frozenset[int], temperature: float) -> Array:
        """How much, with a temperature; kept for that of 1."""
        if temperature != 1.0:
            return confidence(self.measure, self.logits(ran) / temperature)
        if ran not in self._sure:
            self._sure[ran] = confidence(self.measure, self.logits(ran))
        return self._sure[ran]

    def calibrated(self, ran: frozenset[int]) -> float:
        """The temperature of least cross-entropy."""
        if ran not in self._calibrated:
            self._calibrated[ran] = calibration(self.logits(ran), self.runs.labels)
        return self._calibrated[ran]


class _Search:
    """One order, and what temperatures make of it."""

    def __init__(self, begun: _Begun, target: Target, order: Order) -> None:
        self.begun, self.target, self.order = begun, target, order
        self.ran = [frozenset(order[: place + 1]) for place in range(len(order))]
        self.right = np.stack([begun.right(ran) for ran in self.ran], axis=1)
        self.all_right = float(self.right[:, -1].mean())

    def worth(self, temperature: Array) -> tuple[float, float]:
        """The less the better; infinite where nothing meets the target."""
        sure = [self.begun.sure(ran, float(t)) for ran, t in zip(self.ran, temperature, strict=True)]
        found = Confidences(self.order, self.begun.measure, np.stack(sure, axis=1), self.right)
        curve, target = found.curve(self.begun.runs.energy_j), self.target
        if target.energy_j is None:
            drop = target.accuracy_drop or 0.0
            keys = (curve.energy_j, -curve.accuracy)
            allowed = self.all_right - curve.accuracy <= drop + ROUNDING
        else:
            keys, allowed = (-curve.accuracy, curve.energy_j), curve.energy_j <= target.energy_j
        if not allowed.any():
            return (np.inf, np.inf)
        best = np.lexsort((keys[1][allowed], keys[0][allowed]))[0]
        return float(keys[0][allowed][best]), float(keys[1][allowed][best])

    def calibrated(self) -> Array:
        """Temperatures of least cross-entropy, each for its number of students."""
        return np.array([self.begun.calibrated(ran) for ran in self.ran])

    def moved(self, temperature: Array) -> Array:
        """Temperatures that are worth more, from some; the last one decides nothing."""
        kept, best = temperature, self.worth(temperature)
        for place in list(range(len(temperature) - 1)) * ROUNDS:
            begun = kept
            for factor in FACTORS:
                changed = begun.copy()
                changed[place] *= factor
                if (found := self.worth(changed)) < best:
                    kept, best = changed, found
        return kept


def calibration(values: Array, labels: Array) -> float:
    r"""The temperature T of least cross-entropy of softmax(z / T), between 1/50 and 50.

    The cross-entropy is convex in 1/T; its derivative there, :math:`\sum_n \sum_c p_{nc} z_{nc} - z_{n y_n}`,
    is bisected.

    Parameters
    ----------
    values : float64 array of shape (N, classes)
        Logits z.
    labels : int64 array of shape (N,)
    """
    if len(values) == 0:
        raise InputError("calibration: there are no samples; raise data.validation")
    z = values - values.max(axis=1, keepdims=True)
    own = z[np.arange(len(z)), labels].sum()
    low, high = 1.0 / HOTTEST, 1.0 / COLDEST
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        weights = np.exp(z * middle)
        slope = ((weights * z).sum(axis=1) / weights.sum(axis=1)).sum() - own
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1.0 / np.sqrt(low * high))
