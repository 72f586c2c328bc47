"""What other policies would have given: each student alone, the first K, other thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import COUNTED, MOVED, Counts, Traffic, energy_per_sample
from sne_deploy.model.ensemble import ActivationPolicy, Measure
from sne_deploy.page.source import Source
from sne_deploy.policies.gate import gate_record
from sne_deploy.policies.outcome import Outcome, Subsets, outcome, places
from sne_deploy.policies.recorded import MESSAGES, Recorded, recorded
from sne_deploy.policies.thresholds import thresholds
from sne_deploy.report.chip_schema import Count, Fraction, Mean, Model, Text
from sne_deploy.runtime.result import RunResult

Array = npt.NDArray[Any]
MAX_SAMPLES = 1000
"""Of which all students are run, where the policy did not run them: the first."""
MAX_THRESHOLDS = 200
"""Of the policy's kind, besides its own."""

Role = Literal["policy", "alone", "first", "threshold"]
"""The policy as run; a student alone; the first K students; another threshold."""


class AlternativeModel(Model):
    """One policy, judged on ``AlternativesModel.samples`` samples; figures are means of one.

    Attributes
    ----------
    role : {"policy", "alone", "first", "threshold"}
    students : tuple of str
        That may run, in their order.
    threshold : float or None
    accuracy : float
    energy_j : float or None
        The total that a report of a run with this policy has.
    interval_j : (float, float) or None
        Of the neurocores' part, as there.
    host_j : float or None
    synops : float
    mean_active_students : float
    """

    role: Role
    students: tuple[Text, ...]
    threshold: Fraction | None
    accuracy: Fraction
    energy_j: Mean | None
    interval_j: tuple[Mean, Mean] | None
    host_j: Mean | None
    synops: Mean
    mean_active_students: Mean

    @model_validator(mode="after")
    def _fits(self) -> AlternativeModel:
        if self.role == "threshold" and self.threshold is None:
            raise ValueError("a threshold's point has its threshold")
        return self


class AlternativesModel(Model):
    """Policies on the same samples.

    Attributes
    ----------
    samples : int
        The first of the run.
    kind : {"confidence", "gate"} or None
        What the thresholds are of; null where there are none.
    as_if : bool
        Whether the run had no threshold, so that they are of a cascade that was not asked for.
    measure : str or None
        Of a cascade's confidence.
    distinct : int
        How many thresholds give different figures; those listed are evenly spaced among them.
    points : tuple of AlternativeModel
        The policy's own is the first.
    """

    samples: Annotated[int, Field(ge=1)]
    kind: Literal["confidence", "gate"] | None
    as_if: bool
    measure: Measure | None
    distinct: Count
    points: Annotated[tuple[AlternativeModel, ...], Field(min_length=1)]


def alternatives(source: Source) -> AlternativesModel | None:
    """Judge every alternative; None without labels.

    All students of all samples are needed. Where the policy did not run them all, the first
    :data:`MAX_SAMPLES` samples run again, by all students, and every policy is judged on these alone.
    """
    if source.run.labels is None:
        return None
    subsets = Subsets(_everyone(source))
    own = source.ensemble.policy
    names = [student.name for student in source.ensemble.students]
    several = len(names) > 1
    chosen: list[tuple[Role, ActivationPolicy]] = [("policy", own)]
    if several:
        chosen += [("alone", _static((k,), len(names))) for k in range(len(names))]
        order = own.order or tuple(range(len(names)))
        chosen += [("first", _static(order[:k], len(names))) for k in range(2, len(names) + 1)]
    asked = own if own.kind != "static" else ActivationPolicy("confidence", own.order, 1.0)
    limits, distinct = _thresholds(subsets, asked) if several else ((), 0)
    chosen += [("threshold", replace(asked, threshold=limit)) for limit in limits]
    found = outcome(subsets, [policy for _, policy in chosen])
    return AlternativesModel(
        samples=len(subsets.recorded),
        kind=None if not several else "gate" if asked.kind == "gate" else "confidence",
        as_if=several and own.kind == "static",
        measure=asked.measure if several and asked.kind == "confidence" else None,
        distinct=distinct,
        points=tuple(
            _point(role, policy, found, index, names, source.chip)
            for index, (role, policy) in enumerate(chosen)
        ),
    )


def _everyone(source: Source) -> Recorded:
    """All students on all samples; or on the first ones, which run again."""
    run, data = source.run, source.data
    if not bool(run.active.all()):
        rows = np.arange(min(len(data), MAX_SAMPLES))
        run, data = source.again(rows, on_cores=True), data.taken(rows)
    gate = gate_record(source.ensemble, data, source.seed)
    found = recorded(run, source.ensemble.head, None, gate)
    return replace(
        found, counts={name: each for name, each in found.counts.items() if _has(source.run, name)}
    )


def _has(run: RunResult, name: str) -> bool:
    """Whether the run's own target counts this: another that runs samples again may count more."""
    if name in MESSAGES:
        return all(student.placed is not None for student in run.students)
    return all(getattr(student.trace, name) is not None for student in run.students)


def _static(chosen: Sequence[int], students: int) -> ActivationPolicy:
    others = (k for k in range(students) if k not in chosen)
    return ActivationPolicy("static", (*chosen, *others), students=len(chosen))


def _thresholds(subsets: Subsets, policy: ActivationPolicy) -> tuple[tuple[float, ...], int]:
    """Those to be shown, rising, and how many there are that give different figures."""
    recorded = subsets.recorded
    if policy.kind == "gate":
        assert recorded.gate is not None  # noqa: S101  its own policy
        values = 1 / (1 + np.exp(-recorded.gate.logits.ravel()))
    else:
        order = places(policy, recorded.students)
        several = [subsets.sure(policy.measure, order[:k]) for k in range(1, len(order))]
        values = np.maximum.accumulate(several).ravel() if several else np.zeros(0)
    distinct = np.unique(values)
    if len(distinct) == 0:
        return (), 0
    return thresholds(distinct, MAX_THRESHOLDS), len(distinct)


def _point(
    role: Role, policy: ActivationPolicy, found: Outcome, index: int, names: Sequence[str], chip: Chip
) -> AlternativeModel:
    totals = {name: int(each[index]) for name, each in found.totals.items()}
    counts = Counts(**{name: totals.get(name) for name in COUNTED}, samples_run=found.samples)  # type: ignore[arg-type]  # as counted
    traffic = None
    if set(MESSAGES) <= totals.keys():
        traffic = Traffic(**{name: totals.get(name, 0) for name in MOVED})
    energy = energy_per_sample(counts, chip, traffic)
    return AlternativeModel(
        role=role,
        students=tuple(names[k] for k in places(policy, len(names))),
        threshold=None if policy.kind == "static" else policy.threshold,
        accuracy=int(found.right[index]) / found.samples,
        energy_j=energy.total,
        interval_j=energy.interval,
        host_j=energy.host,
        synops=totals["synops"] / found.samples,
        mean_active_students=int(found.ran[index]) / found.samples,
    )
