"""What a number of operations buys, chosen on validation data; and whether it takes an ensemble to buy it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.study.operating_points import (
    FullRun,
    OperatingPoint,
    cascade_point,
    confidences_of,
    found_on_validation,
    labels_of,
    point_of,
)
from sne_deploy.distill.policy.cascade import fit_cascade, orders
from sne_deploy.distill.policy.fitting import Runs, Target
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Head, Measure
from sne_deploy.runtime.head import head_macs


@dataclass(frozen=True, eq=False)
class BudgetPoint:
    """A cascade that spends at most so many operations on validation data, there and on test data.

    Its order, temperatures and threshold are its own: see :func:`budget_points`. Operations are SynOps and
    host MACs, a mean per sample.
    ``reached``: whether some cascade keeps to them; if none does, it is the cheapest student alone. ``head``:
    the ensemble's with the cascade's temperatures.
    """

    operations: float
    reached: bool
    validation: OperatingPoint
    test: OperatingPoint
    head: Head

    def row(self) -> dict[str, Any]:
        """The test point's figures, and what was allowed and found on the validation data."""
        return {
            "allowed_operations": self.operations,
            "reached": self.reached,
            **found_on_validation(self.validation),
            "validation_operations": operations_of(self.validation),
            "order": self.test.policy.order,
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
    """Cascades within numbers of operations per sample, in the order of the budgets.

    Order and temperatures are those that are most accurate on the validation samples within the budget, the
    threshold is the highest that it pays: past the point where a cascade is about as accurate as all of its
    students, which threshold is best on some samples is chance, and more answers are seldom worse than fewer.
    Both runs are of one ensemble.
    """
    wrong = [budget for budget in budgets if not (np.isfinite(budget) and budget > 0)]
    if wrong:
        raise InputError(f"budgets: {wrong[0]} operations are none; give a number above 0")
    runs = _in_operations(validation)
    tried = orders(runs)
    return [_budget_point(validation, test, runs, tried, float(budget), measure) for budget in budgets]


def _budget_point(
    validation: FullRun,
    test: FullRun,
    runs: Runs,
    tried: Sequence[tuple[int, ...]],
    budget: float,
    measure: Measure,
) -> BudgetPoint:
    cheapest = float(runs.operations.mean(axis=0).min())
    reached = cheapest <= budget
    allowed = budget if reached else cheapest
    made = fit_cascade(runs, Target(energy_j=allowed), tried, measure)

    def own(full: FullRun) -> FullRun:
        return replace(full, ensemble=replace(full.ensemble, head=made.head, policy=made.fitted.policy))

    ours, theirs = own(validation), own(test)
    found = confidences_of(ours, measure)
    curve = found.curve(runs.energy_j)
    threshold = float(curve.thresholds[curve.energy_j <= allowed].max())
    return BudgetPoint(
        budget,
        reached,
        cascade_point(ours, found, threshold),
        cascade_point(theirs, confidences_of(theirs, measure), threshold),
        made.head,
    )


def _in_operations(full: FullRun) -> Runs:
    """What all students gave on each sample; a policy is fitted to operations in the place of joules."""
    sizes = [student.outputs.shape[1] for student in full.run.students]
    own = np.eye(len(sizes), dtype=bool)
    operations = np.stack(
        [student.trace.synops + student.trace.host_macs for student in full.run.students], 1
    )
    whole = operations + head_macs(full.ensemble.head, sizes, own)
    outputs = tuple(student.outputs for student in full.run.students)
    return Runs(full.ensemble.head, outputs, labels_of(full.run), whole, whole.astype(np.float64))
