"""What each student adds and costs: a policy with it, less the same policy without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.exploration.figures import Figures, figures
from sne_deploy.exploration.search import without
from sne_deploy.model.ensemble import ActivationPolicy
from sne_deploy.policies.outcome import Subsets, outcome, places

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LeftOut:
    """One student of a policy, on all samples.

    Attributes
    ----------
    student : int
    alone : Figures
        Of this student by itself.
    without : Figures or None
        Of the policy without it; None where no other is left.
    adds_accuracy : float or None
        Of the policy with it, less that without it.
    adds_accuracy_error : float or None
        One standard error of that difference: sqrt(b + c - (b - c)^2 / n) / n, with b of the n samples right
        only with it and c only without it.
    adds_energy_j, adds_latency_s : float or None
        Per sample.
    """

    student: int
    alone: Figures
    without: Figures | None
    adds_accuracy: float | None
    adds_accuracy_error: float | None
    adds_energy_j: float | None
    adds_latency_s: float | None


def leave_one_out(subsets: Subsets, policy: ActivationPolicy, chip: Chip) -> tuple[LeftOut, ...]:
    """Each student that the policy may run, in its order; for policies ``static`` and ``confidence``."""
    students = subsets.recorded.students

    def judged(one: ActivationPolicy) -> Figures:
        return figures(outcome(subsets, [one]), chip).at(0)

    whole, right = judged(policy), right_of(subsets, policy)
    return tuple(
        _left_out(k, whole, right, subsets, without(policy, k, students), judged)
        for k in places(policy, students)
    )


def _left_out(
    student: int,
    whole: Figures,
    right: Array,
    subsets: Subsets,
    rest: ActivationPolicy | None,
    judged: Callable[[ActivationPolicy], Figures],
) -> LeftOut:
    others = (k for k in range(subsets.recorded.students) if k != student)
    alone = judged(ActivationPolicy("static", (student, *others), students=1))
    if rest is None:
        return LeftOut(student, alone, None, None, None, None, None)
    found = judged(rest)
    gained, samples = right.astype(np.int64) - right_of(subsets, rest), len(right)
    error = np.sqrt(np.abs(gained).sum() - gained.sum() ** 2 / samples) / samples
    slower = None
    if whole.latency_s is not None and found.latency_s is not None:
        slower = whole.latency_s - found.latency_s
    return LeftOut(
        student,
        alone,
        found,
        float(gained.sum() / samples),
        float(error),
        whole.energy_j - found.energy_j,
        slower,
    )


def right_of(subsets: Subsets, policy: ActivationPolicy) -> Array:
    """Where a static policy or a cascade is right: bool array of shape (N,)."""
    order = places(policy, subsets.recorded.students)
    right = subsets.right(order)
    if policy.kind != "confidence":
        return right
    for length in range(len(order) - 1, 0, -1):
        begun = order[:length]
        sure = subsets.sure(policy.measure, begun) >= (policy.threshold or 1.0)
        right = np.where(sure, subsets.right(begun), right)
    return right
