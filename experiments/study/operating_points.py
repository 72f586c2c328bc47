"""Accuracy and cost along the number of students and along a cascade's threshold, from one run of them all.

Students do not depend on one another: what a policy costs and predicts follows from which of them it runs
on which sample. Counts, logits and energies come from the runtime's own functions, so a point is what a run
with that policy reports, integer for integer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import sne_deploy as sne
from experiments.study.summary import ratios
from sne_deploy.chips.chip import Chip
from sne_deploy.distill.policy.confidences import Confidences, confidences
from sne_deploy.distill.policy.deploy import run_deployed
from sne_deploy.distill.policy.fitting import ROUNDING
from sne_deploy.distill.policy.gate import GateTraining, train_gate
from sne_deploy.energy.accounting import Counts, Traffic, add_counts, add_traffic, energy_per_sample
from sne_deploy.errors import InputError
from sne_deploy.mapping.wiring import PATHS
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble, Gate, Head, Measure
from sne_deploy.report.schema import TeacherModel
from sne_deploy.runtime import head as heads
from sne_deploy.runtime.activation import chosen_students, gate_macs
from sne_deploy.runtime.placed import PlacedCounts
from sne_deploy.runtime.result import RunResult, StudentResult

Array = npt.NDArray[Any]
DROPS = (0.01, 0.02, 0.03)
"""Points of accuracy below the teacher's, as fractions."""
GATE_THRESHOLD = 0.5
"""Probability above which a gate's student runs."""


@dataclass(frozen=True, eq=False)
class FullRun:
    """All students on all samples, as deployed, with labels; and their teacher on the same samples."""

    ensemble: Ensemble
    run: RunResult
    hardware: Chip
    teacher: TeacherModel | None

    @property
    def order(self) -> tuple[int, ...]:
        """Students in the order in which the ensemble's policy runs them."""
        return self.ensemble.policy.order or tuple(range(len(self.ensemble.students)))


@dataclass(frozen=True, eq=False)
class OperatingPoint:
    """What one choice of students achieves and costs, over the samples of a run.

    Attributes
    ----------
    policy : ActivationPolicy
        ``static`` with its number of students, ``confidence``, or ``gate``.
    accuracy, mean_students : float
    counts : Counts
        Exact totals, the head's host MACs included.
    traffic : Traffic or None
        Exact totals of messages and hops, from all students' placement, which no policy changes; None without
        one. Words of memory, which a run counts for all its samples together and nobody prices, are left 0.
    head_macs : int
        Total, those of a gate among them.
    """

    policy: ActivationPolicy
    accuracy: float
    mean_students: float
    counts: Counts
    traffic: Traffic | None
    head_macs: int
    hardware: Chip
    teacher: TeacherModel | None

    def row(self) -> dict[str, Any]:
        """Figures per sample, as plain values; energies in joules."""
        policy, counts, samples = self.policy, self.counts, self.counts.samples_run
        totals = {
            name: getattr(counts, name)
            for name in ("synops", "spikes", "host_macs", "updates_active", "updates_idle")
        }
        row = {
            "kind": "first" if policy.kind == "static" else policy.kind,
            "students": policy.students,
            "threshold": policy.threshold,
            "measure": policy.measure if policy.kind == "confidence" else None,
            "samples": samples,
            "accuracy": self.accuracy,
            "mean_students": self.mean_students,
            **{name: None if total is None else total / samples for name, total in totals.items()},
            "head_macs": self.head_macs / samples,
            "energy_j": energy_per_sample(counts, self.hardware, self.traffic).total,
        }
        theirs = self.teacher
        if theirs is None:
            return row
        return {
            **row,
            "teacher_accuracy": theirs.accuracy,
            "teacher_macs": theirs.macs,
            "drop": None if theirs.accuracy is None else theirs.accuracy - self.accuracy,
            **ratios(counts, theirs.macs, self.hardware, self.traffic),
        }


@dataclass(frozen=True, eq=False)
class FittedPoint:
    """The threshold chosen on validation data for an allowed drop of accuracy, there and on test data.

    ``reached``: whether some threshold stays within the drop on the validation data; if none does, it is 1.
    """

    allowed_drop: float
    reached: bool
    validation: OperatingPoint
    test: OperatingPoint

    def row(self) -> dict[str, Any]:
        """The test point's figures, and what was asked for and found on the validation data."""
        return {
            "allowed_drop": self.allowed_drop,
            "reached": self.reached,
            **found_on_validation(self.validation),
            **self.test.row(),
        }


def found_on_validation(point: OperatingPoint) -> dict[str, Any]:
    """Of the point that was chosen on validation data, for a row on test data; None without a teacher."""
    figures = point.row()
    names = ("samples", "accuracy", "teacher_accuracy", "mean_students")
    return {f"validation_{name}": figures.get(name) for name in names}


def run_all(
    ensemble: Ensemble,
    x: Array,
    y: Array,
    *,
    teacher: str | os.PathLike[str] | None = None,
    weight_bits: int = 8,
) -> FullRun:
    """Run every student on every sample on target ``loihi``; the teacher's ONNX file on the same samples."""
    everyone = ActivationPolicy("static", ensemble.policy.order)
    with sne.compile(ensemble, "loihi", policy=everyone, weight_bits=weight_bits, fidelity=False) as compiled:
        result = compiled.run(x, y, teacher=teacher)
        return FullRun(ensemble, result.run, compiled.hardware, result.report.teacher)


def first_students(full: FullRun) -> list[OperatingPoint]:
    """Points of the first 1 to K students of the order, the same on every sample."""
    points = []
    for k in range(1, len(full.order) + 1):
        active = np.zeros_like(full.run.active)
        active[:, list(full.order[:k])] = True
        points.append(point_of(full, active, ActivationPolicy("static", full.order, students=k)))
    return points


def cascade(
    full: FullRun, thresholds: Sequence[float], measure: Measure = "max_probability"
) -> list[OperatingPoint]:
    """Points of a cascade that goes on until the head's confidence reaches a threshold in (0, 1]."""
    found = confidences_of(full, measure)
    return [cascade_point(full, found, float(threshold)) for threshold in thresholds]


def fitted_points(
    validation: FullRun,
    test: FullRun,
    drops: Sequence[float] = DROPS,
    measure: Measure = "max_probability",
) -> list[FittedPoint]:
    """The cheapest cascades that stay within a drop against the teacher on validation data.

    Drops of accuracy are fractions: 0.01 is a point. Both runs are of one ensemble, each with its teacher.
    """
    if validation.teacher is None or validation.teacher.accuracy is None or test.teacher is None:
        raise InputError("operating points: drops are against the teacher's accuracy; run both with teacher=")
    theirs, ours = (confidences_of(full, measure) for full in (validation, test))
    points = []
    for drop in drops:
        if not np.isfinite(drop):
            raise InputError(f"operating points: a drop of {drop} is no fraction; give 0.01 for a point")
        enough = validation.teacher.accuracy - drop - ROUNDING
        found = next((one for one in theirs.thresholds() if theirs.accuracy(one) >= enough), None)
        threshold = 1.0 if found is None else found
        points.append(
            FittedPoint(
                allowed_drop=drop,
                reached=found is not None,
                validation=cascade_point(validation, theirs, threshold),
                test=cascade_point(test, ours, threshold),
            )
        )
    return points


def point_of(full: FullRun, active: Array, policy: ActivationPolicy) -> OperatingPoint:
    """What running these students on each sample achieves and costs; ``active``: bool (N, students)."""
    run = _restricted(full.run, full.ensemble.head, active)
    counts = [count for count in (student.counts for student in run.students) if count.samples_run]
    shared = run.shared_counts
    return OperatingPoint(
        policy=policy,
        accuracy=float(np.mean(run.predictions == labels_of(run))),
        mean_students=int(active.sum()) / len(active),
        counts=add_counts([shared, *counts], len(active)),
        traffic=_traffic(full.run, active),
        head_macs=shared.host_macs,
        hardware=full.hardware,
        teacher=full.teacher,
    )


def _traffic(run: RunResult, active: Array) -> Traffic | None:
    """Messages and hops of the samples that each student runs on; None where one has no counts on cores."""
    placed = [student.placed for student in run.students if student.placed is not None]
    if len(placed) < len(run.students):
        return None
    return add_traffic(_moved(each, active[:, k]) for k, each in enumerate(placed))


def _moved(placed: PlacedCounts, rows: Array) -> Traffic:
    totals = {name: int(getattr(placed, name)[rows].sum()) for name in (*PATHS, "from_host")}
    return Traffic(**totals, memory_words=0)


def _restricted(run: RunResult, head: Head, active: Array) -> RunResult:
    """What a run of all students on all samples gives where only some of them run on each sample."""
    students = tuple(_where_active(student, active[:, k]) for k, student in enumerate(run.students))
    outputs = [student.outputs for student in students]
    logits = heads.logits(head, outputs, active)
    return replace(
        run,
        students=students,
        logits=logits,
        predictions=np.argmax(logits, axis=1).astype(np.int64),
        active=active,
        head_macs=heads.head_macs(head, [output.shape[1] for output in outputs], active),
    )


def _where_active(student: StudentResult, active: Array) -> StudentResult:
    trace = student.trace.without_recordings().take(active).spread(active)
    alone = None if student.alone is None else np.where(active, student.alone, -1)
    return replace(student, active=active, trace=trace, alone=alone)


def confidences_of(full: FullRun, measure: Measure) -> Confidences:
    """How sure the head is after each student of a run."""
    outputs = [student.outputs for student in full.run.students]
    return confidences(full.ensemble.head, outputs, labels_of(full.run), full.order, measure)


def labels_of(run: RunResult) -> Array:
    """The samples' own."""
    if run.labels is None:
        raise InputError("operating points: accuracies need labels; give y")
    return run.labels


def cascade_point(full: FullRun, found: Confidences, threshold: float) -> OperatingPoint:
    """What the cascade that ends at a threshold achieves and costs."""
    policy = ActivationPolicy("confidence", full.order, threshold, measure=found.measure)  # checks them
    return point_of(full, found.active(threshold), policy)


# --- gates ------------------------------------------------------------------------------------------


def priced_gates(
    ensemble: Ensemble,
    x: Array,
    y: Array,
    prices: Sequence[float],
    described: GateTraining,
    *,
    weight_bits: int = 8,
) -> list[Gate]:
    """Train a gate for each price of an operation, on what the students give as deployed on training samples.

    The thresholds and the choice among gates of an experiment's own policy are left aside: every gate
    activates the students that it gives a probability of more than a half, so that the price alone moves
    along the curve. A price is the cross-entropy in nats that all students together may cost; see
    :func:`sne_deploy.distill.policy.gate.train_gate`.
    """
    wrong = [price for price in prices if not (np.isfinite(price) and price > 0)]
    if wrong:
        raise InputError(f"gates: a price of {wrong[0]} is none; give a number above 0, in nats")
    runs = run_deployed(ensemble, x, y, weight_bits).with_head(ensemble.head)
    return [train_gate(x, runs, price, described) for price in prices]


def gate_points(full: FullRun, gates: Sequence[Gate], x: Array) -> list[OperatingPoint]:
    """Points of gates on the samples of a run, each with its own multiply-accumulates on the host counted."""
    if len(x) != len(full.run.predictions):
        raise InputError(f"gates: {len(x)} samples, the run has {len(full.run.predictions)}; give the same")
    points = []
    for gate in gates:
        policy = ActivationPolicy("gate", full.order, GATE_THRESHOLD, gate=gate)
        counted = replace(full, run=replace(full.run, gate_macs=gate_macs(policy, x)))
        points.append(point_of(counted, chosen_students(policy, x, len(full.ensemble.students)), policy))
    return points
