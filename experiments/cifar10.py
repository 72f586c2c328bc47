"""Measure on CIFAR-10 what docs/results.md shows.

usage: python -m experiments.cifar10 --out OUT --data-folder FOLDER [--only STUDY] [--seeds N]

A killed run goes on when it is started again. ``--setting small`` goes the same way with a few images, in
seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from experiments.ablation import OPTIONS, RECIPE, Option, ablation
from experiments.reproduction.command import EXAMPLES, Example, main
from experiments.reproduction.measure import Subject, activation, noise
from experiments.reproduction.studies import Bench, Found, Study, common_studies, family_study, twins_study

SETTINGS = Path(__file__).parent / "settings"
DIVISIONS, ABLATION = SETTINGS / "divisions.toml", SETTINGS / "ablation.toml"
FULL_DIVISIONS = SETTINGS / "divisions-full.toml"
STRATEGIES = ("contiguous", "random", "selection", "coverage", "attribution", "correlation")
CHOSEN = ("contiguous", "random", "selection")
"""Of them, what many longer trainings are made of: the two that know nothing, and the best of the others."""
DECORRELATION = {"partition.decorrelate": 1.0, "partition.decorrelate_epochs": 1}
REDUCED: Mapping[str, Any] = {
    "data.train_samples": 10_000,
    "data.augment": "crop-flip",
    "teacher.width": 32,
    "teacher.features": 32,
    "teacher.schedule.epochs": 10,
    "teacher.schedule.batch_size": 128,
    "teacher.schedule.learning_rate": 0.1,
    "partition.strategy": "attribution",
    "students.timesteps": 2,
    "students.layers": [
        *[
            layer
            for channels in (16, 32, 64)
            for layer in (
                {"kind": "Conv2d", "out": channels, "kernel": 3, "stride": 2, "padding": 1, "bias": False},
                {"kind": "BatchNorm2d"},
                {"kind": "LIFBoxCell", "tau_mem_s": 2e-3, "v_th": 0.5},
            )
        ],
        {"kind": "Flatten"},
        {"kind": "Linear"},
        {"kind": "LIBoxCell", "tau_mem_s": 4e-3},
    ],
    "students.loss": {"feature": 1.0},
    "students.copies": 0,
    "students.schedule": {"epochs": 5, "learning_rate": 8e-3, "batch_size": 128, "warmup": 0.1},
    "joint": None,
    "policy": {"kind": "static"},
}
"""What many trainings can afford: 10,000 images, a teacher of half the width, 32 features, small students.

The students learn their features and nothing else, so that nothing but the division tells them apart.
"""

HARDENED: Mapping[str, Any] = {
    **REDUCED,
    "data.train_samples": 8000,
    "teacher.width": 16,
    "partition.strategy": "selection",
    "students.count": 2,
    "students.timesteps": 1,
    "students.copies": 2,
    "students.loss": {"feature": 1.0, "logits": 1.0, "tau_teacher": 2.0, "tau_student": 2.0},
    "students.schedule": {"epochs": 4, "learning_rate": 8e-3, "batch_size": 128, "warmup": 0.1},
    "noise.samples": 2000,
    "noise.draws": 3,
}
"""Two students of a small teacher, in one step: what two trainings of all of them can afford."""
CORRUPTIONS = {
    "share": 0.5,
    "gaussian": [0.0, 0.2],
    "salt_and_pepper": [0.0, 0.1],
    "occlusion": [0.2, 0.5],
    "contrast": [0.25, 1.0],
}
"""The sorts of noise that are measured, up to their strongest."""


def hardening(bench: Bench) -> Found:
    """Teacher and students trained without corruptions and with them, both under the same noise."""
    variants = {"without": {}, "with": {"data.corruptions": CORRUPTIONS}}
    taken = noise(Subject())
    return Found(tuple(bench.one(name, changes, taken) for name, changes in variants.items()))


def divisions(strategies: Sequence[str], bench: Bench) -> Found:
    """Every one of these strategies with every seed."""
    taken = activation(bench.verify)
    changes = {strategy: {"partition.strategy": strategy} for strategy in strategies}
    rows = [row for name, change in changes.items() for row in bench.every_seed(name, change, taken)]
    return Found(tuple(rows))


def _studies(
    bits: Sequence[int], epochs: int, widths: Sequence[int], options: Mapping[str, Option]
) -> tuple[Study, ...]:
    separated = "six divisions of the features, the teacher trained further to separate the parts"
    every, chosen = partial(divisions, STRATEGIES), partial(divisions, CHOSEN)
    return (
        Study("partition", "six divisions of the features", every, REDUCED, DIVISIONS),
        Study("decorrelation", separated, every, {**REDUCED, **DECORRELATION}, DIVISIONS),
        Study("partition-full", "three divisions of the committed teacher's", chosen, base=FULL_DIVISIONS),
        *common_studies(bits, epochs, REDUCED, DIVISIONS),
        Study("hardening", "training with corruptions and without", hardening, HARDENED, DIVISIONS),
        Study("twins", "the students with ReLUs, trained as they were", twins_study),
        Study("family", "smaller networks of the teacher's family", partial(family_study, widths)),
        Study(
            "ablation",
            "the recipe with one thing changed at a time",
            partial(ablation, options),
            base=ABLATION,
        ),
    )


QUICK = {"epochs": 1, "batch_size": 32, "learning_rate": 1e-2}
SMALL_LAYERS = [
    {"kind": "Conv2d", "out": 4, "kernel": 3, "stride": 4, "padding": 1, "bias": False},
    {"kind": "BatchNorm2d"},
    {"kind": "LIFBoxCell"},
    {"kind": "Flatten"},
    {"kind": "Linear"},
    {"kind": "LIBoxCell", "tau_mem_s": 4e-3},
]
EXAMPLE = Example(
    name="cifar10",
    base=EXAMPLES / "cifar10" / "experiment.toml",
    studies={
        "full": _studies((8, 6, 4), 2, (16, 24, 32, 48), OPTIONS),
        "small": [
            study
            for study in _studies(
                (8, 4), 1, (2, 4), {name: OPTIONS[name] for name in (RECIPE, "labels-alone")}
            )
            if study.base != FULL_DIVISIONS  # the same as the others, of a teacher that is not small
        ],
    },
    small={
        "threads": 1,
        "data.validation": 60,
        "data.train_samples": 300,
        "teacher.width": 4,
        "teacher.features": 24,
        "teacher.schedule": {**QUICK, "epochs": 3},
        "students.copies": 0,
        "students.count": 2,
        "students.member": [],
        "students.layers": SMALL_LAYERS,
        "students.schedule": QUICK,
        "noise": {"gaussian": [0.1, 0.3], "occlusion": [0.25], "contrast": [0.5], "samples": 40},
    },
)

if __name__ == "__main__":
    sys.exit(main(EXAMPLE))
