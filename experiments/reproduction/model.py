"""Measurements of a model: along its students, thresholds and gates; what it is compared with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt

import sne_deploy as sne
from experiments.reproduction.measure import Subject, on_test, rows_of
from experiments.reproduction.rows import Figures
from experiments.reproduction.runs import Measurement, Task
from experiments.study.budgets import best_alone, budget_points, each_alone, operations_of
from experiments.study.family import FamilyRow, family_rows
from experiments.study.operating_points import (
    FullRun,
    cascade,
    first_students,
    fitted_points,
    gate_points,
    priced_gates,
    run_all,
)
from experiments.study.summary import weights
from experiments.study.twins import TwinRow, train_twins, twin_rows
from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.policy.deploy import gate_training
from sne_deploy.distill.training.origin import NAME, read_trained
from sne_deploy.energy.accounting import mac_energy_j

Array = npt.NDArray[Any]
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
"""Confidences at which the cascade is measured."""
DROPS = (0.01, 0.015, 0.02, 0.03, 0.05)
"""Allowed drops of accuracy against the teacher, as fractions, of the operating points."""
FEWER = (20, 30, 40, 60)
"""Times fewer operations than the teacher's, of the operating points."""
PRICES = (0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Cross-entropies, in nats, that all students may cost a gate."""
GATE_SAMPLES = 20_000
"""Training images that gates learn from, at most."""


def model_figures(subject: Subject, verify: int) -> Measurement:
    """A model's figures, along its students, the cascade's thresholds and gates; its operating points.

    Every choice is made on validation data; what is measured on the test data comes from one run of all
    students there. Gates need two students to choose from.
    """

    def take(task: Task) -> Figures:
        ensemble, teacher = subject.get(task)
        splits, (x, y) = task.splits(), task.test(ensemble)
        held_out = splits.x_validation.numpy(), splits.y_validation
        test, validation = (
            run_all(ensemble, *data, teacher=teacher, weight_bits=task.bits) for data in ((x, y), held_out)
        )
        gates = []
        if len(ensemble.students) > 1:
            seen = splits.x[:GATE_SAMPLES].numpy(), splits.y[:GATE_SAMPLES].numpy()
            described = gate_training(task.experiment)
            trained = priced_gates(ensemble, *seen, PRICES, described, weight_bits=task.bits)
            gates = [
                {"price": price, "trained_on": len(seen[1]), **row}
                for price, row in zip(PRICES, rows_of(gate_points(test, trained, x)), strict=True)
            ]
        return {
            "test": on_test(ensemble, teacher, task, verify),
            "first": rows_of(first_students(test)),
            "validation_first": rows_of(first_students(validation)),
            "cascade": rows_of(cascade(test, THRESHOLDS)),
            "gates": gates,
            "fitted": rows_of(fitted_points(validation, test, DROPS)),
            **_budgets(validation, test),
            **weights(ensemble),
            "mirrors": _mirrors(ensemble),
            "trained": _trained(subject),
        }

    return Measurement(f"model, gates at {list(PRICES)}, {subject.name}, {verify} verified", take)


def _budgets(validation: FullRun, test: FullRun) -> Figures:
    """The cascade at parts of the teacher's operations, and at those of the best student alone."""
    macs = 0 if test.teacher is None else test.teacher.macs
    best = best_alone(validation)
    operations = operations_of(each_alone(validation)[best])
    equal, *within = budget_points(validation, test, [operations, *(macs / fewer for fewer in FEWER)])
    return {
        "budgets": [{"fewer": fewer, **point.row()} for fewer, point in zip(FEWER, within, strict=True)],
        "alone": rows_of(each_alone(test)),
        "best_alone": {"student": best, "equal_operations": equal.row()},
    }


def _mirrors(ensemble: sne.Ensemble) -> list[int | None]:
    """Of each student the one whose mirror image it is, as the experiment says that made it."""
    described = json.loads(ensemble.provenance.get("experiment", "{}"))
    return [member.get("mirror_of") for member in described.get("students", {}).get("member", ())]


def _trained(subject: Subject) -> dict[str, Any] | None:
    """What the training wrote beside the model; None where there is nothing."""
    beside = None if subject.model is None else subject.model.with_name(NAME)
    if beside is None or not beside.exists():
        return None
    return {stage: record.model_dump() for stage, record in read_trained(beside).items()}


def relu_twins(subject: Subject) -> Measurement:
    """The students of a model with ReLUs, trained as they were."""

    def take(task: Task) -> Figures:
        ensemble, teacher = subject.get(task)
        x, y = task.test(ensemble)
        twins = train_twins(task.experiment, ensemble, teacher, task.work, log=task.log)
        return {
            "first": _first(ensemble, x, y, teacher, task),
            "twins": _priced(twin_rows(twins, x, y)),
        }

    return Measurement(f"twins, {subject.name}", take)


def family(subject: Subject, widths: Sequence[int]) -> Measurement:
    """Smaller networks of the teacher's family, trained as it was; of the model no more than its data."""

    def take(task: Task) -> Figures:
        ensemble, _ = subject.get(task)
        x, y = task.test(ensemble)
        rows = family_rows(task.experiment, tuple(widths), x, y, task.work, log=task.log)
        return {"family": _priced(rows), "samples": len(x)}

    return Measurement(f"family, widths {list(widths)}", take)


def _priced(rows: Sequence[TwinRow] | Sequence[FamilyRow]) -> list[Figures]:
    """With the energy of their MACs, at the price of a teacher's."""
    chip = load_chip(DEFAULT_CHIP)
    return [{**asdict(row), "energy_j": mac_energy_j(row.macs, chip)} for row in rows]


def _first(ensemble: sne.Ensemble, x: Array, y: Array, teacher: Path, task: Task) -> list[Figures]:
    return rows_of(first_students(run_all(ensemble, x, y, teacher=teacher, weight_bits=task.bits)))
