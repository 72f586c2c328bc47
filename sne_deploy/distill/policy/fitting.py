"""Fitting who runs, and when it is enough, to a target on validation data.

A policy has settings: how many students run, a threshold, a gate. Each is measured on the outputs that all
students gave on the validation data, and :func:`choose` takes the one that meets the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.policy.confidences import confidences
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Head, Measure
from sne_deploy.runtime.head import logits

Array = npt.NDArray[Any]

ROUNDING = 1e-12
"""Fractions of correct samples that differ by less are equal."""


@dataclass(frozen=True)
class Target:
    """What a policy is fitted to: one of both.

    Attributes
    ----------
    accuracy_drop : float or None
        The cheapest setting that loses at most so much against all students running, as a fraction.
    energy_j : float or None
        The most accurate setting whose mean energy per inference, in joules, is at most that.
    """

    accuracy_drop: float | None = None
    energy_j: float | None = None

    def __post_init__(self) -> None:
        if (self.accuracy_drop is None) == (self.energy_j is None):
            raise InputError("policy: give accuracy_drop or energy_j, one of both")
        if self.accuracy_drop is not None and not self.accuracy_drop >= 0:
            raise InputError(f"policy.accuracy_drop {self.accuracy_drop} must be 0 or more")
        if self.energy_j is not None and not self.energy_j > 0:
            raise InputError(f"policy.energy_j {self.energy_j} must be above 0")


@dataclass(frozen=True, eq=False)
class Runs:
    """What every student gives on the same samples, as deployed, and what that costs.

    Attributes
    ----------
    head : Head
    outputs : tuple of float64 arrays of shape (N, n_out)
    labels : int64 array of shape (N,)
    operations : int64 array of shape (N, students)
        SynOps and host MACs of a student on a sample, its part of the head included.
    energy_j : float64 array of shape (N, students)
        Of the same, in joules.
    """

    head: Head
    outputs: tuple[Array, ...]
    labels: Array
    operations: Array
    energy_j: Array

    def __post_init__(self) -> None:
        if len(self.labels) == 0:
            raise InputError("policy: there are no samples to fit it on; raise data.validation")

    @property
    def students(self) -> int:
        """How many students there are."""
        return len(self.outputs)

    def right(self, active: Array) -> Array:
        """Where the head is right when these students run: bool array of shape (N,)."""
        return np.asarray(logits(self.head, self.outputs, active).argmax(axis=1) == self.labels)

    def taken(self, rows: slice) -> Runs:
        """Some of the samples."""
        outputs = tuple(output[rows] for output in self.outputs)
        return Runs(self.head, outputs, self.labels[rows], self.operations[rows], self.energy_j[rows])

    def only(self, ran: Sequence[int]) -> Array:
        """These students on every sample: bool array of shape (N, students)."""
        active = np.zeros((len(self.labels), self.students), dtype=bool)
        active[:, list(ran)] = True
        return active


@dataclass(frozen=True)
class Setting:
    """A setting of a policy and what it does on the validation data.

    Attributes
    ----------
    policy : ActivationPolicy
    accuracy : float
    energy_j : float
        Mean per sample.
    mean_students : float
    """

    policy: ActivationPolicy
    accuracy: float
    energy_j: float
    mean_students: float


@dataclass(frozen=True)
class FittedPolicy(Setting):
    """The setting that was chosen.

    Attributes
    ----------
    accuracy_all : float
        With all students.
    """

    accuracy_all: float


def best_order(runs: Runs) -> tuple[int, ...]:
    """Greedy: first the student that alone is right most often, then the one that helps it most, ..."""
    order: list[int] = []
    while len(order) < runs.students:
        left = [k for k in range(runs.students) if k not in order]
        order.append(max(left, key=lambda k: (runs.right(runs.only([*order, k])).mean(), -k)))
    return tuple(order)


@dataclass(frozen=True)
class Brought:
    """What a student does alone, and with those before it in the order; means over samples.

    Attributes
    ----------
    student : int
    accuracy_alone, operations_alone : float
        Operations are SynOps and host MACs.
    accuracy, operations : float
        Of the first students of the order, this one included.
    """

    student: int
    accuracy_alone: float
    operations_alone: float
    accuracy: float
    operations: float


def brought(runs: Runs, order: Sequence[int]) -> tuple[Brought, ...]:
    """What each student of an order adds where it and all before it run on every sample."""
    operations = runs.operations.mean(axis=0)
    return tuple(
        Brought(
            student,
            float(runs.right(runs.only([student])).mean()),
            float(operations[student]),
            float(runs.right(runs.only(order[: place + 1])).mean()),
            float(operations[list(order[: place + 1])].sum()),
        )
        for place, student in enumerate(order)
    )


def measured(policy: ActivationPolicy, runs: Runs, active: Array, gate_j: float = 0.0) -> Setting:
    """What a policy does that activates these students: bool array of shape (N, students).

    A gate costs ``gate_j`` joules on every sample.
    """
    energy = float(np.where(active, runs.energy_j, 0.0).sum(axis=1).mean()) + gate_j
    return Setting(policy, float(runs.right(active).mean()), energy, float(active.sum(axis=1).mean()))


def fit_static(runs: Runs, target: Target, order: tuple[int, ...]) -> FittedPolicy:
    """How many students of the order run, for all samples alike; see :func:`choose`."""
    settings = [
        measured(ActivationPolicy("static", order, students=k), runs, runs.only(order[:k]))
        for k in range(1, runs.students + 1)
    ]
    return choose(settings, runs, target)


def fit_confidence(
    runs: Runs, target: Target, order: tuple[int, ...], measure: Measure = "max_probability"
) -> FittedPolicy:
    """The confidence at which no more students run; see :func:`choose`.

    Every student more costs more, so that the cheapest threshold is the lowest.
    """
    found = confidences(runs.head, runs.outputs, runs.labels, order, measure).curve(runs.energy_j)
    settings = [
        Setting(ActivationPolicy("confidence", order, float(threshold), measure=measure), *map(float, rest))
        for threshold, *rest in zip(
            found.thresholds, found.accuracy, found.energy_j, found.students, strict=True
        )
    ]
    return choose(settings, runs, target)


def choose(settings: Sequence[Setting], runs: Runs, target: Target) -> FittedPolicy:
    """The setting that meets a target: the cheapest that is accurate enough, or the most accurate affordable.

    Among equally cheap ones the most accurate, among equally accurate ones the cheapest, then the first.

    Raises
    ------
    InputError
        None meets it: names the key, the value and the best that can be reached.
    """
    everyone = float(runs.right(runs.only(range(runs.students))).mean())
    where = f"by policy {settings[0].policy.kind!r} on {len(runs.labels)} validation samples"
    if target.energy_j is None:
        drop = target.accuracy_drop or 0.0
        allowed = [setting for setting in settings if everyone - setting.accuracy <= drop + ROUNDING]
        if not allowed:
            least = min(everyone - setting.accuracy for setting in settings)
            raise InputError(
                f"policy.accuracy_drop {drop:g} is not met {where}: the least drop is {least:.6g}; allow that"
            )
        best = min(allowed, key=lambda setting: (setting.energy_j, -setting.accuracy))
    else:
        allowed = [setting for setting in settings if setting.energy_j <= target.energy_j]
        if not allowed:
            least = min(setting.energy_j for setting in settings)
            raise InputError(
                f"policy.energy_j {target.energy_j:g} is not met {where}: the least is {least:.6g} J per "
                "inference; allow that, or train smaller students"
            )
        best = min(allowed, key=lambda setting: (-setting.accuracy, setting.energy_j))
    return FittedPolicy(best.policy, best.accuracy, best.energy_j, best.mean_students, everyone)
