"""Runs whose labels, predictions and students are given: counting over them needs no simulation."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.page.source import Source
from sne_deploy.result import Result

SAMPLES = 40


@cache
def digits() -> Result:
    """The committed students on their first images."""
    _, _, x, y = digits_split()
    with sne.compile(sne.load("examples/digits/model.pt"), target="loihi", fidelity=False) as compiled:
        return compiled.run(x[:SAMPLES], y[:SAMPLES])


def drawn(seed: int, samples: int, classes: int) -> Source:
    """The same students with random labels, predictions and choices of who runs."""
    rng = np.random.default_rng(seed)
    source = digits().source
    labels, predictions = rng.integers(classes, size=(2, samples)) * 3
    active = rng.random((samples, len(source.run.students))) < rng.random()
    active[np.arange(samples), rng.integers(active.shape[1], size=samples)] = True
    students = tuple(
        replace(
            student,
            active=ran,
            alone=np.where(ran, rng.integers(classes, size=samples) * 3, -1) if ran.any() else None,
        )
        for student, ran in zip(source.run.students, active.T, strict=True)
    )
    changes: dict[str, Any] = {"labels": labels, "predictions": predictions, "active": active}
    return replace(source, run=replace(source.run, students=students, **changes))
