"""Accuracy and cost along the number of students and along a cascade's threshold, from one run of them all.

Students do not depend on one another: what a policy costs and predicts follows from which of them it runs
on which sample. Counts, logits and energies come from the runtime's own functions, so a point is what a run
with that policy reports, integer for integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from experiments.study.companions import ratios
from experiments.study.restricted import restricted
from sne_deploy.chips.chip import Chip
from sne_deploy.distill.policy.confidences import Confidences, confidences
from sne_deploy.distill.policy.fitting import ROUNDING
from sne_deploy.energy.accounting import Counts, add_counts, energy_per_sample
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble, Measure
from sne_deploy.report.build import shared_counts, student_counts
from sne_deploy.runtime.result import RunResult

if TYPE_CHECKING:
    import os

    from sne_deploy.report.schema import TeacherModel

Array = npt.NDArray[Any]
DROPS = (0.01, 0.02, 0.03)
"""Points of accuracy below the teacher's, as fractions."""


@dataclass(frozen=True, eq=False)
class FullRun:
    """All students on all samples, as deployed.

    Attributes
    ----------
    ensemble : Ensemble
    run : RunResult
        With labels.
    hardware : Chip
    teacher : TeacherModel or None
        On the same samples.
    """

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
    """What one choice of students achieves and costs.

    Attributes
    ----------
    policy : ActivationPolicy
        ``static`` with its number of students, ``confidence``, or ``gate``.
    accuracy, mean_students : float
    counts : Counts
        Exact totals over all samples, the head's host MACs included.
    head_macs : int
        Total over all samples, those of a gate among them.
    hardware : Chip
    teacher : TeacherModel or None
    """

    policy: ActivationPolicy
    accuracy: float
    mean_students: float
    counts: Counts
    head_macs: int
    hardware: Chip
    teacher: TeacherModel | None

    def row(self) -> dict[str, Any]:
        """Figures per sample, as plain values; energies in joules."""
        policy, counts, samples = self.policy, self.counts, self.counts.samples_run
        names = ("synops", "spikes", "host_macs", "updates_active", "updates_idle")
        means = {name: _mean(getattr(counts, name), samples) for name in names}
        return {
            "kind": "first" if policy.kind == "static" else policy.kind,
            "students": policy.students,
            "threshold": policy.threshold,
            "measure": policy.measure if policy.kind == "confidence" else None,
            "samples": samples,
            "accuracy": self.accuracy,
            "mean_students": self.mean_students,
            **means,
            "head_macs": self.head_macs / samples,
            "energy_j": energy_per_sample(counts, self.hardware).total,
            **({} if self.teacher is None else self._against(self.teacher)),
        }

    def _against(self, teacher: TeacherModel) -> dict[str, Any]:
        return {
            "teacher_accuracy": teacher.accuracy,
            "teacher_macs": teacher.macs,
            "drop": None if teacher.accuracy is None else teacher.accuracy - self.accuracy,
            **ratios(self.counts, teacher.macs, self.hardware),
        }


@dataclass(frozen=True, eq=False)
class FittedPoint:
    """A threshold chosen on validation data, and what it does there and on test data.

    Attributes
    ----------
    allowed_drop : float
        Of accuracy against the teacher's, as a fraction.
    reached : bool
        Whether some threshold stays within it on the validation data; if none does, it is 1.
    validation, test : OperatingPoint
    """

    allowed_drop: float
    reached: bool
    validation: OperatingPoint
    test: OperatingPoint

    def row(self) -> dict[str, Any]:
        """The test point's figures, and what was asked for and found on the validation data."""
        theirs = self.validation.row()
        return {
            "allowed_drop": self.allowed_drop,
            "reached": self.reached,
            "validation_samples": theirs["samples"],
            "validation_accuracy": theirs["accuracy"],
            "validation_teacher_accuracy": theirs["teacher_accuracy"],
            "validation_mean_students": theirs["mean_students"],
            **self.test.row(),
        }


def run_all(
    ensemble: Ensemble,
    x: Array,
    y: Array,
    *,
    teacher: str | os.PathLike[str] | None = None,
    weight_bits: int = 8,
    hardware: str | os.PathLike[str] | Chip = "loihi1",
    device: str | None = None,
) -> FullRun:
    """Run every student on every sample on target ``loihi``.

    Parameters
    ----------
    ensemble : Ensemble
    x : array of shape (N, *input_shape), or (N, T, *input_shape) where the model takes spikes
    y : int64 array of shape (N,)
    teacher : path or None
        ONNX file, evaluated on the same samples.
    weight_bits : int
    hardware : str, path or Chip
    device : str or None
        See :func:`sne_deploy.compile`.
    """
    import sne_deploy as sne

    everyone = ActivationPolicy("static", ensemble.policy.order)
    with sne.compile(
        ensemble,
        "loihi",
        policy=everyone,
        weight_bits=weight_bits,
        hardware=hardware,
        fidelity=False,
        device=device,
    ) as compiled:
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
    """Points of a cascade that goes on until the head's confidence reaches a threshold.

    Parameters
    ----------
    full : FullRun
    thresholds : sequence of float
        Each in (0, 1].
    measure : Measure
        Of confidence.
    """
    found = _confidences(full, measure)
    return [_cascade_point(full, found, float(threshold)) for threshold in thresholds]


def fitted_points(
    validation: FullRun,
    test: FullRun,
    drops: Sequence[float] = DROPS,
    measure: Measure = "max_probability",
) -> list[FittedPoint]:
    """The cheapest cascades that stay within a drop against the teacher on validation data.

    Parameters
    ----------
    validation, test : FullRun
        Of one ensemble, each with its teacher.
    drops : sequence of float
        Allowed drops of accuracy, as fractions: 0.01 is a point.
    measure : Measure
        Of confidence.

    Raises
    ------
    InputError
        A run lacks the teacher, or a drop is not a number.
    """
    if validation.teacher is None or validation.teacher.accuracy is None or test.teacher is None:
        raise InputError("operating points: drops are against the teacher's accuracy; run both with teacher=")
    theirs, ours = (_confidences(full, measure) for full in (validation, test))
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
                validation=_cascade_point(validation, theirs, threshold),
                test=_cascade_point(test, ours, threshold),
            )
        )
    return points


def point_of(full: FullRun, active: Array, policy: ActivationPolicy) -> OperatingPoint:
    """What running these students on each sample achieves and costs.

    Parameters
    ----------
    full : FullRun
    active : bool array of shape (N, students)
    policy : ActivationPolicy
        Which chose them.
    """
    run = restricted(full.run, full.ensemble.head, active)
    counts = [count for count in map(student_counts, run.students) if count.samples_run]
    shared = shared_counts(run)
    return OperatingPoint(
        policy=policy,
        accuracy=float(np.mean(run.predictions == _labels(run))),
        mean_students=int(active.sum()) / len(active),
        counts=add_counts([shared, *counts], len(active)),
        head_macs=shared.host_macs,
        hardware=full.hardware,
        teacher=full.teacher,
    )


def _confidences(full: FullRun, measure: Measure) -> Confidences:
    outputs = [student.outputs for student in full.run.students]
    return confidences(full.ensemble.head, outputs, _labels(full.run), full.order, measure)


def _labels(run: RunResult) -> Array:
    if run.labels is None:
        raise InputError("operating points: accuracies need labels; give y")
    return run.labels


def _cascade_point(full: FullRun, found: Confidences, threshold: float) -> OperatingPoint:
    policy = ActivationPolicy("confidence", full.order, threshold, measure=found.measure)  # checks them
    return point_of(full, found.active(threshold), policy)


def _mean(total: int | None, samples: int) -> float | None:
    return None if total is None else total / samples
