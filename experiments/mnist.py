"""Measure on MNIST what docs/results.md shows.

usage: python -m experiments.mnist --out OUT --data-folder FOLDER [--only STUDY] [--seeds N]

A killed run goes on when it is started again. ``--setting small`` goes the same way on scikit-learn's digits,
in seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from experiments.reproduction.command import EXAMPLES, Example, main
from experiments.reproduction.measure import deployed
from experiments.reproduction.rows import Choice, choose_best, choose_sparse
from experiments.reproduction.studies import Bench, Found, Study, common_studies

Changes = Mapping[str, Any]
LABELS: Changes = {"students.loss": {"feature": 0.0, "cross_entropy": 1.0}}
CELL = {"kind": "LIFBoxCell", "tau_mem_s": 2e-3, "v_th": 0.5}
CONVOLUTION = {"kind": "Conv2d", "kernel": 3, "stride": 2, "padding": 1}
LAYERS = [
    {**CONVOLUTION, "out": 12},
    CELL,
    {**CONVOLUTION, "out": 24},
    CELL,
    {"kind": "Flatten"},
    {"kind": "Linear"},
    {"kind": "LIBoxCell", "tau_mem_s": 4e-3},
]
"""Without batch norm, which would set the rates itself."""
ONE_STUDENT: Changes = {
    "data.train_samples": 20_000,
    "students.count": 1,
    "students.timesteps": 8,
    "students.layers": LAYERS,
    "students.copies": 0,
    "students.surrogate_alpha": 3.0,
    "students.schedule": {
        "epochs": 6,
        "learning_rate": 1e-2,
        "batch_size": 128,
        "warmup": 0.1,
        "weight_decay": 0.3,
    },
    "students.outputs": "logits",
    "joint": None,
    "policy": {"kind": "static"},
}
"""One student that gives logits, so that nothing but its losses differs, and no head is fitted to them.

Weight decay pulls all weights towards 0, against what the loss asks for: a loss that asks for small logits
then gets few spikes.
"""


SAVING = 0.65
"""Part of conventional distillation's spikes that the others are to save, as was published."""


@dataclass(frozen=True)
class Grid:
    """What is chosen from.

    ``temperatures`` of teacher and student alike; ``pairs`` of them, whose ratio says how small the student's
    logits are to be, the teacher's how soft its targets; ``synops``: weights of the cost of synaptic
    operations; ``rates``: weights of the rate's distance from 0.
    """

    temperatures: Sequence[float]
    pairs: Sequence[tuple[float, float]]
    synops: Sequence[float]
    rates: Sequence[float]


FULL = Grid(
    (1.0, 2.0, 4.0),
    ((16.0, 1.0), (32.0, 1.0), (48.0, 1.0), (64.0, 1.0), (4.0, 0.125), (4.0, 0.1), (4.0, 0.08)),
    (0.003, 0.01),
    (0.1, 0.3),
)
SMALL = Grid((1.0, 4.0), ((4.0, 1.0), (8.0, 1.0)), (0.3,), (3.0,))


def distilled(teacher: float, student: float, **more: float) -> Changes:
    """The teacher's logits, and perhaps a cost of activity."""
    loss = {"feature": 0.0, "logits": 1.0, **more}
    return {"students.loss": {**loss, "tau_teacher": teacher, "tau_student": student}}


def variants(grid: Grid, bench: Bench) -> Found:
    """Labels alone, conventional distillation, two temperatures, a cost of activity, both."""
    alike = {f"tau{tau:g}": distilled(tau, tau) for tau in grid.temperatures}
    conventional = choose_best("temperature of conventional distillation", bench.candidates(alike))
    reference = next(one for one in conventional.candidates if one.variant == conventional.chosen)

    def sparse(what: str, offered: Mapping[str, Changes]) -> Choice:
        return choose_sparse(what, bench.candidates(offered), reference, SAVING)

    unlike = {f"teacher{a:g}-student{b:g}": distilled(a, b) for a, b in grid.pairs}
    temperatures = sparse("two temperatures", unlike)
    tau = alike[conventional.chosen]["students.loss"]
    taus = tau["tau_teacher"], tau["tau_student"]
    costs = {f"synops{weight:g}": distilled(*taus, synops=weight) for weight in grid.synops}
    for weight in grid.rates:
        costs[f"rate{weight:g}"] = distilled(*taus, spike_rate=weight, target_rate=0.0)
    activity = sparse("cost of activity", costs)
    both = {
        f"{name}-synops{weight:g}": distilled(*pair, synops=weight)
        for name, pair in zip(unlike, grid.pairs, strict=True)
        for weight in grid.synops
    }
    combination = sparse("cost of activity with two temperatures", both)
    final = {
        "no-distillation": LABELS,
        "conventional": alike[conventional.chosen],
        "two-temperatures": unlike[temperatures.chosen],
        "activity-cost": costs[activity.chosen],
        "combination": both[combination.chosen],
    }
    taken = deployed(bench.verify)
    rows = [row for name, changes in final.items() for row in bench.every_seed(name, changes, taken)]
    return Found(tuple(rows), (conventional, temperatures, activity, combination))


def _studies(grid: Grid, bits: Sequence[int], epochs: int) -> tuple[Study, ...]:
    losses = "losses of one student: labels, logits, two temperatures, a cost of activity, both"
    return (
        Study("variants", losses, partial(variants, grid), ONE_STUDENT),
        *common_studies(bits, epochs, {**ONE_STUDENT, **distilled(1.0, 1.0)}),
    )


QUICK = {"epochs": 4, "batch_size": 32, "learning_rate": 1e-2}
EXAMPLE = Example(
    name="mnist",
    base=EXAMPLES / "mnist" / "experiment.toml",
    studies={"full": _studies(FULL, (8, 6, 4), 2), "small": _studies(SMALL, (8, 4), 1)},
    small={
        "threads": 1,
        "data": {"source": "digits", "validation": 100, "train_samples": 480},
        "teacher.width": 4,
        "teacher.features": 16,
        "teacher.schedule": {**QUICK, "epochs": 8},
        "students.copies": 0,
        "noise": {"gaussian": [0.1, 0.3], "occlusion": [0.25], "contrast": [0.5], "samples": 40},
        "students.schedule": QUICK,
    },
)

if __name__ == "__main__":
    sys.exit(main(EXAMPLE))
