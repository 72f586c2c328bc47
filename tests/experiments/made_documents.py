"""Documents of rows with made-up figures, in the forms that the studies write."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.reproduction.rows import Candidate, Choice, Document, Record

SEEDS = (0, 1, 2)
VARIANTS = {
    "no-distillation": (0.9841, 900.0),
    "conventional": (0.9862, 1200.0),
    "two-temperatures": (0.9859, 600.0),
    "activity-cost": (0.9855, 450.0),
    "combination": (0.9853, 300.0),
}
STRATEGIES = {
    "contiguous": 0.700,
    "random": 0.704,
    "correlation": 0.712,
    "attribution": 0.725,
    "coverage": 0.721,
    "selection": 0.722,
}


def measured(accuracy: float, spikes: float, bits: int = 8, **more: Any) -> dict[str, Any]:
    """Like :func:`experiments.study.summary.measure`."""
    return {
        "name": "made-up",
        "weight_bits": bits,
        "samples": 10000,
        "timesteps": 4,
        "students": 4,
        "float_accuracy": accuracy + 0.001,
        "accuracy": accuracy,
        "agreement": 0.993,
        "mean_students": 3.0,
        "synops": 100 * spikes,
        "spikes": spikes,
        "host_macs": 21000.0,
        "updates_active": 5000.0,
        "updates_idle": 900.0,
        "energy_j": 2e-9 * spikes,
        "energy_interval_j": None,
        "energy_excludes": ["hops", "static"],
        "energy_error_neurocore": 0.2,
        "teacher_accuracy": 0.9931,
        "teacher_macs": 4000000,
        "teacher_energy_j": 1.84e-5,
        "ratio_ops": 30.0,
        "ratio_ops_updates": 25.0,
        "ratio_ops_all_updates": 24.0,
        "ratio_energy": 8.0,
        "verified_against": "lava",
        "verified_samples": 20,
        "differing_bits": 0,
        **more,
    }


def point(accuracy: float, active: float, **more: Any) -> dict[str, Any]:
    """Like a row of :mod:`experiments.study.operating_points`."""
    return {
        "kind": "first",
        "students": None,
        "threshold": None,
        "samples": 10000,
        "accuracy": accuracy,
        "mean_students": active,
        "synops": 40000 * active,
        "spikes": 500 * active,
        "host_macs": 21000 * active,
        "head_macs": 640.0,
        "updates_active": 5000 * active,
        "updates_idle": 900 * active,
        "energy_j": 1.5e-6 * active,
        "teacher_accuracy": 0.9931,
        "teacher_macs": 4000000,
        "teacher_energy_j": 1.84e-5,
        "drop": 0.9931 - accuracy,
        "ratio_ops": 4e6 / (61000 * active),
        "ratio_ops_updates": 4e6 / (66000 * active),
        "ratio_ops_all_updates": 4e6 / (66900 * active),
        "ratio_energy": 18.4 / (1.5 * active),
        **more,
    }


def record(study: str, variant: str, seed: int, figures: dict[str, Any]) -> Record:
    return Record(
        study=study, variant=variant, seed=seed, digest="0", changes={}, wall_s=100.0, figures=figures
    )


def document(example: str, study: str, rows: list[Record], **more: Any) -> Document:
    values: dict[str, Any] = {
        "example": example,
        "study": study,
        "setting": "full",
        "changes": {"students.count": 1},
        "seeds": SEEDS,
        "command": f"python -m experiments.{example} --only {study}",
        "data_note": None,
        "subject": "`model.pt` of SHA-256 0123456789ab...",
        "machine": "two cores of a made-up CPU",
        "versions": {"python": "3.11"},
        "choices": (),
        "rows": tuple(rows),
    }
    return Document(**(values | more))


def noisy(value: float, seed: int, size: float) -> float:
    return value + size * (-1.0, 0.0, 1.0)[seed]


def variants() -> Document:
    rows = [
        record("variants", name, seed, {"test": measured(noisy(right, seed, 0.0007), spikes + 10 * seed)})
        for name, (right, spikes) in VARIANTS.items()
        for seed in SEEDS
    ]
    candidates = (
        Candidate(variant="tau1", accuracy=0.98, spikes=1000.0, wall_s=60.0),
        Candidate(variant="tau2", accuracy=0.99, spikes=1100.0, wall_s=60.0),
    )
    choice = Choice(what="temperature", rule="highest", candidates=candidates, chosen="tau2", met=False)
    return document("mnist", "variants", rows, choices=(choice,))


def first(best: float) -> list[dict[str, Any]]:
    return [point(best - 0.06 / k**2, k, students=k) for k in (1, 2, 3, 4)]


def chosen() -> dict[str, Any]:
    """Operating points by operations, students alone, where the training was."""
    budgets = [
        point(0.97, 20 / fewer, allowed_operations=4e6 / fewer, reached=fewer < 60, fewer=fewer)
        for fewer in (20, 60)
    ]
    stages = {
        "teacher": {
            "epochs": 16,
            "seconds": 3600.0,
            "machines": {"a made-up GPU": 3600.0, "a made-up CPU": 0.0},
        },
        "student0": {
            "epochs": 2,
            "seconds": 90.0,
            "machines": {"a made-up GPU": 30.0, "a made-up CPU": 60.0},
        },
    }
    return {
        "validation_first": [point(0.90 + 0.02 * k, k, students=k) for k in (1, 2)],
        "budgets": budgets,
        "alone": [point(0.93, 1.0), point(0.94, 1.5)],
        "best_alone": {"student": 1, "equal_operations": point(0.955, 1.4)},
        "weights": 2000,
        "weights_kept": 300,
        "trained": stages,
    }


def model(example: str, **more: Any) -> Document:
    thresholds = (0.3, 0.6, 0.9, 0.99, 1.0)
    figures = {
        "test": measured(0.985, 1234.0),
        "first": first(0.99),
        "cascade": [
            point(0.99 - 0.05 * (1 - t) ** 2 - 0.002, 1 + 2.9 * t**4, kind="confidence", threshold=t)
            for t in thresholds
        ],
        "gates": [
            point(0.97 - price / 50, 2.0 - price / 5, kind="gate", threshold=0.5, price=price, trained_on=100)
            for price in (0.01, 0.1, 1.0)
        ],
        "fitted": [
            point(
                0.98,
                4.0 - drop * 100,
                allowed_drop=drop,
                reached=drop > 0.01,
                kind="confidence",
                threshold=0.7,
            )
            for drop in (0.01, 0.02, 0.03)
        ],
        **(chosen() if example == "cifar10" else {}),
    }
    return document(example, "model", [record("model", "model", 0, figures)], seeds=(0,), **more)


def hardening() -> Document:
    rows = [
        record("hardening", name, 0, noise("cifar10", worst).rows[0].figures)
        for name, worst in (("without", 0.13), ("with", 0.02))
    ]
    return document("cifar10", "hardening", rows, seeds=(0,))


def exact(division: str) -> list[dict[str, Any]]:
    """Of students without error."""
    half = {"contiguous": 0.895, "random": 0.9}.get(division, 0.905)
    right = (half - 0.05, half, 0.905, 0.91)
    return [{"students": k, "features": 8 * k, "accuracy": one} for k, one in enumerate(right, 1)]


def partition(study: str = "partition") -> Document:
    rows = []
    for name, right in STRATEGIES.items():
        for seed in SEEDS:
            best = noisy(right + 0.015 + 0.005 * (study == "decorrelation"), seed, 0.004)
            figures = {"test": measured(best, 2000.0), "first": first(best)}
            if study == "partition":
                figures["exact"] = exact(name)
            rows.append(record(study, name, seed, figures))
    return document("cifar10", study, rows, data_note="a note on the data.")


LOSS_OF_BITS = {8: 0.0, 6: 0.004, 4: 0.03}


def bits(example: str) -> Document:
    found = [measured(0.985 - loss, 1234.0, width) for width, loss in LOSS_OF_BITS.items()]
    return document(example, "bits", [record("bits", "model", 0, {"bits": found})])


def quantisation(example: str) -> Document:
    rows = []
    for way, part in (("after-training", 1.0), ("quantisation-aware", 0.3)):
        for width, drop in LOSS_OF_BITS.items():
            for seed in SEEDS:
                test = measured(noisy(0.98 - part * drop, seed, 0.001), 1200.0, width)
                rows.append(record("quantisation", f"{way}-{width}", seed, {"test": test}))
    return document(example, "quantisation", rows)


def noise(example: str, worst: float = 0.09) -> Document:
    grid = {
        "gaussian": (0.1, 0.2, 0.3),
        "salt_and_pepper": (0.05, 0.1, 0.2),
        "occlusion": (0.2, 0.4),
        "contrast": (0.7, 0.5, 0.3),
    }
    clean = ("clean", 0.0, 0.993, 0.985)
    draws = {"gaussian": (-0.01, 0.0, 0.01), "salt_and_pepper": (0.0, 0.0, 0.0), "occlusion": (0.0, 0.0, 0.0)}
    found = [clean] + [
        (family, strength, 0.993 - 0.05 * index, 0.985 - 0.04 * index + shift)
        for family, strengths in grid.items()
        for index, strength in enumerate(strengths, 1)
        for shift in draws.get(family, (0.0,))
    ]
    rows = [
        {
            "family": family,
            "strength": strength,
            "samples": 2000,
            "teacher_accuracy": theirs,
            "ensemble_accuracy": ours,
            "teacher_drop": 1 - theirs / 0.993,
            "ensemble_drop": 1 - ours / 0.985,
            "mean_students": 1.7,
            "synops": 43210.0,
        }
        for family, strength, theirs, ours in found
    ]
    lost = {"gaussian": 0.08, "salt_and_pepper": 0.07, "occlusion": 0.04, "contrast": worst, "all": 0.08}
    means = [
        {"family": family, "seed": seed, "teacher_drop": 0.1, "ensemble_drop": drop + 0.01 * (seed - 1)}
        for seed in SEEDS
        for family, drop in lost.items()
    ]
    figures = {"noise": rows, "mean_drops": means}
    return document(example, "noise", [record("noise", "model", 0, figures)], seeds=(0,))


def twins() -> Document:
    right = np.array([0.95, 0.98, 0.985, 0.988])
    rows = [
        {
            "students": k + 1,
            "accuracy": float(right[k]),
            "student_macs": 100000,
            "head_macs": 640,
            "macs": 100640 * (k + 1),
            "energy_j": 100640 * (k + 1) * 4.6e-12,
        }
        for k in range(4)
    ]
    figures = {"first": first(0.98), "twins": rows}
    return document("cifar10", "twins", [record("twins", "model", 0, figures)], seeds=(0,))


def family() -> Document:
    figures = {
        "samples": 10_000,
        "family": [
            {
                "width": width,
                "features": 128,
                "accuracy": 0.94 + width / 640,
                "macs": 60000 * width,
                "energy_j": 60000 * width * 4.6e-12,
                "parameters": 9,
            }
            for width in (4, 8, 16)
        ],
    }
    return document("cifar10", "family", [record("family", "family", 0, figures)], seeds=(0,))


def ablation() -> Document:
    """Three seeds of the recipe and of one option, and an option of which one seed is done."""
    figures = {
        ("recipe", 0): (0.60, 1000.0, 100),
        ("recipe", 1): (0.62, 1100.0, 100),
        ("recipe", 2): (0.61, 1000.0, 100),
        ("dense", 0): (0.61, 4000.0, 1000),
        ("dense", 1): (0.64, 4400.0, 1000),
        ("dense", 2): (0.64, 4000.0, 1000),
        ("two-steps", 0): (0.63, 2000.0, 100),
    }
    rows = [
        record(
            "ablation",
            name,
            seed,
            {
                "about": f"about {name}",
                "validation": measured(right, spikes, students=1, samples=5000),
                "weights": 1000,
                "weights_kept": kept,
            },
        )
        for (name, seed), (right, spikes, kept) in figures.items()
    ]
    base = "experiments/settings/ablation.toml"
    return document("cifar10", "ablation", rows, base=base)


def everything() -> list[Document]:
    of_both = (model, bits, quantisation, noise)
    both = [made(name) for name in ("mnist", "cifar10") for made in of_both]
    divided = [partition(name) for name in ("partition", "partition-full", "decorrelation")]
    return [variants(), *divided, twins(), family(), ablation(), hardening(), *both]
