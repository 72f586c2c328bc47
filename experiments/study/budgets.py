"""What a number of operations buys, chosen on validation data; and whether it takes an ensemble to buy it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.study.operating_points import (
    FullRun,
    OperatingPoint,
    cascade_point,
    confidences_of,
    found_on_validation,
    point_of,
)
from sne_deploy.distill.policy.confidences import Confidences
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Measure


@dataclass(frozen=True, eq=False)
class BudgetPoint:
    """The most accurate cascade on validation data of at most so many operations, there and on test data.

    Operations are SynOps and host MACs, a mean per sample. ``reached``: whether some threshold keeps to them;
    if none does, it is that of the first student alone.
    """

    operations: float
    reached: bool
    validation: OperatingPoint
    test: OperatingPoint

    def row(self) -> dict[str, Any]:
        """The test point's figures, and what was allowed and found on the validation data."""
        return {
            "allowed_operations": self.operations,
            "reached": self.reached,
            **found_on_validation(self.validation),
            "validation_operations": operations_of(self.validation),
            **self.test.row(),
        }


def operations_of(point: OperatingPoint) -> float:
    """SynOps and host MACs per sample."""
    counts = point.counts
    return (counts.synops + counts.host_macs) / counts.samples_run


def each_alone(full: FullRun) -> list[OperatingPoint]:
    """Points of every student by itself, in the ensemble's own order of students."""
    points = []
    for k in range(len(full.ensemble.students)):
        active = np.zeros_like(full.run.active)
        active[:, k] = True
        order = (k, *(one for one in full.order if one != k))
        points.append(point_of(full, active, ActivationPolicy("static", order, students=1)))
    return points


def best_alone(validation: FullRun) -> int:
    """The student that is most accurate by itself on the validation data; of equal ones the cheapest."""
    points = each_alone(validation)
    return max(range(len(points)), key=lambda k: (points[k].accuracy, -operations_of(points[k])))


def budget_points(
    validation: FullRun,
    test: FullRun,
    budgets: Sequence[float],
    measure: Measure = "max_probability",
) -> list[BudgetPoint]:
    """The most accurate cascades within numbers of operations per sample, in the order of the budgets.

    Of equally accurate ones the cheapest. Both runs are of one ensemble.
    """
    wrong = [budget for budget in budgets if not (np.isfinite(budget) and budget > 0)]
    if wrong:
        raise InputError(f"budgets: {wrong[0]} operations are none; give a number above 0")
    held_out, ours = (confidences_of(full, measure) for full in (validation, test))
    thresholds = held_out.thresholds()
    accuracies = np.array([held_out.accuracy(one) for one in thresholds])
    points = []
    for budget in budgets:
        affordable = _affordable(validation, held_out, thresholds, budget)
        best = int(accuracies[: max(1, affordable)].argmax())  # of equal ones the first, which is cheapest
        threshold = thresholds[best]
        points.append(
            BudgetPoint(
                operations=float(budget),
                reached=affordable > 0,
                validation=cascade_point(validation, held_out, threshold),
                test=cascade_point(test, ours, threshold),
            )
        )
    return points


def _affordable(full: FullRun, found: Confidences, thresholds: Sequence[float], budget: float) -> int:
    """How many of the rising thresholds keep to a budget; the cost never falls from one to the next."""

    def cost(threshold: float) -> float:
        return operations_of(cascade_point(full, found, threshold))

    return bisect_right(thresholds, budget, key=cost)
