"""What every option of a training is worth at one small setting: the recipe, one thing changed at a time.

A row is a name, what it changes in ``experiments/settings/ablation.toml`` by dotted key, and that in words.
Everything is measured on validation data, as deployed: the test set is for the committed models alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.reproduction.measure import trained
from experiments.reproduction.rows import Figures, Record
from experiments.reproduction.runs import Measurement, NotFinishedError, Task
from experiments.reproduction.studies import Bench, Found
from experiments.study.summary import measure, weights
from sne_deploy.errors import InputError

RECIPE = "recipe"


@dataclass(frozen=True)
class Option:
    """A row of the study."""

    about: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def _with_skips() -> list[dict[str, Any]]:
    """The setting's student, with a skip over one into the third and the fourth layer of neurons."""
    layers: list[dict[str, Any]] = []
    for index, (out, kernel, stride) in enumerate(((32, 4, 2), (64, 3, 2), (96, 3, 1), (96, 3, 2))):
        conv = {"kind": "Conv2d", "out": out, "kernel": kernel, "stride": stride, "padding": 1, "bias": False}
        layers += [conv, {"kind": "BatchNorm2d"}]
        layers += [{"kind": "SkipConv2d", "over": 1, "stride": 2}] if index >= 2 else []
        layers += [{"kind": "LIFBoxCell", "tau_mem_s": 2e-3, "v_th": 0.5}]
    return [*layers, {"kind": "Flatten"}, {"kind": "Linear"}, {"kind": "LIBoxCell", "tau_mem_s": 4e-3}]


OPTIONS: Mapping[str, Option] = {
    RECIPE: Option("all that the setting's file says"),
    "cold-start": Option(
        "no ReLU twin first, as many epochs in all",
        {"students.warm_start": None, "students.schedule.epochs": 12, "students.answers": {"copies": 12}},
    ),
    "dense": Option("no pruning", {"students.pruning": None}),
    "wide-surrogate": Option("a rectangle of twice the half-width", {"students.surrogate_width": 2.0}),
    "superspike": Option(
        "SuperSpike as the spike's gradient, alpha 4",
        {
            "students.surrogate": "superspike",
            "students.surrogate_width": None,
            "students.surrogate_alpha": 4.0,
        },
    ),
    "one-image": Option("a single augmented copy of each image", {"students.answers": {"copies": 1}}),
    "labels-alone": Option(
        "no teacher: cross-entropy with the labels", {"students.loss": {"feature": 0.0, "cross_entropy": 1.0}}
    ),
    "pruned-by-synops": Option(
        "pruned by what a synapse does for the loss per operation",
        {"students.pruning": {"by": "synops", "sparsity": 0.85, "every": 10}},
    ),
    "quantised-last": Option(
        "the last 2 of all epochs on the chip's integers",
        {"students.schedule.epochs": 7, "quantisation.epochs": 2},
    ),
    "corruptions": Option(
        "half of the images corrupted, the teacher's too",
        {
            "data.corruptions": {
                "share": 0.5,
                "gaussian": [0.0, 0.15],
                "salt_and_pepper": [0.0, 0.08],
                "contrast": [0.3, 1.0],
            }
        },
    ),
    "twice-as-long": Option(
        "twice the epochs, of twin and student",
        {
            "students.warm_start": {"epochs": 6},
            "students.schedule.epochs": 18,
            "students.answers": {"copies": 18},
        },
    ),
    "two-steps": Option("two time steps in the place of one", {"students.timesteps": 2}),
    "more-steps": Option(
        "two time steps for the first third, then one",
        {"students.more_steps": {"timesteps": 2, "epochs": 3}, "students.schedule.epochs": 6},
    ),
    "muon": Option(
        "Muon in the place of AdamW",
        {"students.schedule.optimizer": "muon"},
    ),
    "triangle": Option("a triangle as the spike's gradient", {"students.surrogate": "triangle"}),
    "narrow-surrogate": Option("a rectangle of half the half-width", {"students.surrogate_width": 0.5}),
    "activity-cost": Option(
        "a price of SynOps in the place of pruning",
        {"students.pruning": None, "students.loss.synops": 0.1},
    ),
    "hoyer": Option("Hoyer's measure of the currents beside pruning", {"students.loss.hoyer": 0.01}),
    "inner": Option(
        "each layer's spikes also learn the ReLU twin's activations", {"students.loss.inner": 1.0}
    ),
    "skips": Option(
        "a second synapse, over one layer, into the third and the fourth", {"students.layers": _with_skips()}
    ),
    "pruning-and-cost": Option("a price of SynOps beside pruning", {"students.loss.synops": 0.1}),
    "averaging": Option(
        "the mean of the weights over the last fifth of the steps", {"students.schedule.averaging": 0.2}
    ),
    "mirror": Option(
        "the student's mirror image beside it, without training",
        {"students.count": 2, "students.member": [{}, {"mirror_of": 0}]},
    ),
    "tau-1": Option(
        "the teacher's answers at temperature 1",
        {"students.loss.tau_teacher": 1.0, "students.loss.tau_student": 1.0},
    ),
}
"""By name; the first is what the others are compared with."""


def ablation(options: Mapping[str, Option], bench: Bench) -> Found:
    """Every option with every seed, the first seed of all of them before the second, as far as finished."""
    rows: dict[tuple[str, int], Record] = {}
    for seed in bench.seeds:
        for name, option in options.items():
            with contextlib.suppress(NotFinishedError):
                taken = _measured(option, bench.verify)
                rows[name, seed] = bench.one_seed(name, seed, option.changes, taken)
    if (RECIPE, bench.seeds[0]) not in rows:
        raise InputError(f"ablation: {RECIPE} is not finished, and the others are compared with it")
    return Found(tuple(rows[name, seed] for name in options for seed in bench.seeds if (name, seed) in rows))


def _measured(option: Option, verify: int) -> Measurement:
    """A trained ensemble on the validation data, beside its teacher, and how many weights are not 0."""

    def take(task: Task) -> Figures:
        ensemble, teacher = trained(task)
        splits = task.splits()
        held_out = splits.x_validation.numpy(), splits.y_validation
        (found,) = measure(ensemble, *held_out, (task.bits,), teacher=teacher, verify=verify)
        return {"about": option.about, "validation": found, **weights(ensemble)}

    return Measurement(f"ablation, {verify} verified", take)
