"""Policies and their figures on the samples that chose, and on those that judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.brief import briefly
from sne_deploy.errors import InputError
from sne_deploy.exploration.figures import Columns, Figures
from sne_deploy.exploration.front import front
from sne_deploy.exploration.quantities import at_least, at_most, fraction, quantity
from sne_deploy.model.ensemble import ActivationPolicy
from sne_deploy.model.policy import policy_text

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Point:
    """One choice.

    Attributes
    ----------
    policy : ActivationPolicy
    weight_bits : int or None
        None: the chip's.
    own : bool
        Whether it is the model's own policy.
    chosen_on, measured : Figures
        On the samples that points are chosen on, and on those that judge the choice.
    whole : Figures
        On all samples of the data: what a run of them reports.
    """

    policy: ActivationPolicy
    weight_bits: int | None
    own: bool
    chosen_on: Figures
    measured: Figures
    whole: Figures

    def text(self, names: Sequence[str]) -> str:
        """The policy in a few words; ``names`` are the students'."""
        policy = self.policy
        order = [names[index] for index in policy.order or range(len(names))]
        if policy.kind == "static":
            return " + ".join(order[: policy.students])
        return policy_text(
            policy.kind, order, threshold=policy.threshold, students=policy.students, measure=policy.measure
        )


@dataclass(frozen=True)
class Limits:
    """What a point must keep; None: anything.

    Attributes
    ----------
    target_accuracy : float or None
        At least, a fraction.
    energy_budget_j, latency_budget_s : float or None
        At most, mean per sample.
    """

    target_accuracy: float | None = None
    energy_budget_j: float | None = None
    latency_budget_s: float | None = None

    @classmethod
    def read(
        cls, target_accuracy: Any = None, energy_budget: Any = None, latency_budget: Any = None
    ) -> Limits:
        """From numbers in SI, or texts such as ``98%``, ``2uJ`` and ``1.5ms``."""
        return cls(
            None if target_accuracy is None else fraction("target accuracy", target_accuracy),
            None if energy_budget is None else quantity("energy budget", energy_budget, "J"),
            None if latency_budget is None else quantity("latency budget", latency_budget, "s"),
        )

    def __bool__(self) -> bool:
        """Whether there is one."""
        return self != NO_LIMITS


NO_LIMITS = Limits()


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Points:
    """Every point that was tried, in arrays; ``points[i]`` is one of them.

    Attributes
    ----------
    policies : tuple of ActivationPolicy
    weight_bits : tuple of int or None
    own : tuple of bool
    chosen_on, measured, whole : Columns
    """

    policies: tuple[ActivationPolicy, ...]
    weight_bits: tuple[int | None, ...]
    own: tuple[bool, ...]
    chosen_on: Columns
    measured: Columns
    whole: Columns

    def __len__(self) -> int:
        """Number of points."""
        return len(self.policies)

    def __getitem__(self, index: int) -> Point:
        """One point."""
        columns = (self.chosen_on, self.measured, self.whole)
        figures = (each.at(range(len(self))[index]) for each in columns)
        return Point(self.policies[index], self.weight_bits[index], self.own[index], *figures)

    @cached_property
    def front(self) -> Array:
        """Indices of those that no other dominates on the samples that choose, by rising energy."""
        return front(self.chosen_on)

    def pick(self, limits: Limits) -> int:
        """Index of the best point within the limits, judged on the samples that choose.

        The one with the least energy where an accuracy is asked for, else the most accurate; then the faster.

        Raises
        ------
        InputError
            No limit, a latency without figures, or no point within the limits: it names the nearest.
        """
        if not limits:
            raise InputError("give a target accuracy, an energy budget or a latency budget")
        columns = self.chosen_on
        if limits.latency_budget_s is not None and columns.latency_s is None:
            raise InputError(
                "a latency budget needs latencies, and this target, chip and model give none; leave it out"
            )
        tests = _tests(limits, columns)
        within = np.ones(len(self), dtype=bool)
        for test in tests:
            if not (within & test.holds).any():
                raise InputError(_nearest(test, within))
            within &= test.holds
        latency = np.zeros(len(self)) if columns.latency_s is None else columns.latency_s
        keys = [latency, columns.energy_j, -columns.accuracy]
        if limits.target_accuracy is not None:
            keys = [latency, -columns.accuracy, columns.energy_j]
        order = np.lexsort([np.arange(len(self)), *keys])
        return int(order[within[order]][0])


@dataclass(frozen=True)
class _Test:
    """One limit: what it is called, where it holds, and the values, of which the least is nearest."""

    option: str
    holds: Array
    values: Array
    text: Callable[[float], str]


def _tests(limits: Limits, columns: Columns) -> list[_Test]:
    """The limits that were given; accuracy last, since it is reached within the budgets."""
    found = []
    for name, limit, values, text in (
        ("energy", limits.energy_budget_j, columns.energy_j, partial(at_least, unit="J")),
        ("latency", limits.latency_budget_s, columns.latency_s, partial(at_least, unit="s")),
    ):
        if limit is not None and values is not None:
            found.append(_Test(f"--{name}-budget", values <= limit, values, text))
    target = limits.target_accuracy
    if target is not None:
        found.append(
            _Test(
                "--target-accuracy",
                columns.accuracy >= target,
                -columns.accuracy,
                lambda value: at_most(-value),
            )
        )
    return found


def _nearest(test: _Test, within: Array) -> str:
    best = float(test.values[within].min())
    others = "" if within.all() else " within the other limits"
    return (
        f"no point keeps {test.option}{others}: the nearest has {test.text(best)} on the samples that "
        f"choose; give {test.option} {test.text(best)}"
    )
