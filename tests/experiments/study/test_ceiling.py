"""Students that make no error reach what a linear head makes of exact features, and no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from experiments.study.ceiling import ceiling, exact_students
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.teacher.network import Teacher
from tests.distill.test_run import DOCUMENT

Array = npt.NDArray[Any]


def four_classes() -> tuple[Array, Array]:
    """Two features say the two bits of the label, a third repeats the first one, a fourth says nothing."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 2000)
    features = np.stack([labels // 2, labels % 2, labels // 2, random.integers(0, 2, 2000)], axis=1)
    return features.astype(np.float32), labels.astype(np.int64)


def accuracies(*parts: tuple[int, ...]) -> list[float]:
    x, y = four_classes()
    taken = [np.array(part) for part in parts]
    return [row["accuracy"] for row in exact_students((x[:1000], x[1000:]), (y[:1000], y[1000:]), taken)]


def test_parts_tell_what_their_features_tell() -> None:
    assert accuracies((0, 1), (2, 3)) == [1.0, 1.0]
    assert accuracies((0, 2), (1, 3)) == [pytest.approx(0.5, abs=0.05), 1.0]
    assert accuracies((3,), (2,), (0, 1)) == [
        pytest.approx(0.25, abs=0.05), pytest.approx(0.5, abs=0.05), 1.0,
    ]  # fmt: skip


def test_a_run_s_teacher_is_judged_in_the_order_of_its_policy() -> None:
    x, y = four_classes()
    parts = (np.array([0, 2]), np.array([1, 3]))
    distilled: Any = SimpleNamespace(
        teacher=Teacher(nn.Identity(), nn.Linear(4, 4)),
        parts=parts,
        ensemble=SimpleNamespace(policy=SimpleNamespace(order=(1, 0))),
    )
    samples = torch.from_numpy(x)
    found = ceiling(
        parse_experiment(DOCUMENT),
        distilled,
        (samples[:1000], torch.from_numpy(y[:1000])),
        (samples[1000:], y[1000:]),
    )
    assert [row["accuracy"] for row in found] == accuracies((1, 3), (0, 2))
    assert [(row["students"], row["features"]) for row in found] == [(1, 2), (2, 4)]
    assert accuracies((1, 3), (0, 2))[0] != accuracies((0, 2), (1, 3))[0]
