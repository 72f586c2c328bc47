"""Students that make no error reach what a linear head makes of exact features, and no more."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from experiments.study.ceiling import ceiling, exact_students, kept_features, own_accuracy
from sne_deploy.distill.teacher.network import Teacher, extract_features

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


def test_a_run_is_judged_in_the_order_of_its_policy() -> None:
    x, y = four_classes()
    distilled: Any = SimpleNamespace(
        parts=(np.array([0, 2]), np.array([1, 3])),
        ensemble=SimpleNamespace(policy=SimpleNamespace(order=(1, 0))),
    )
    found = ceiling(distilled, (x[:1000], x[1000:]), (y[:1000], y[1000:]))
    assert [row["accuracy"] for row in found] == accuracies((1, 3), (0, 2))
    assert [(row["students"], row["features"]) for row in found] == [(1, 2), (2, 4)]
    assert accuracies((1, 3), (0, 2))[0] != accuracies((0, 2), (1, 3))[0]


def test_features_are_kept_and_another_teacher_s_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.from_numpy(four_classes()[0])
    first, other = (Teacher(nn.Linear(4, 3), nn.Linear(3, 4)) for _ in range(2))
    features = kept_features(tmp_path, first, x, "float32")
    np.testing.assert_allclose(features, extract_features(first, x).numpy())
    with torch.no_grad():
        right = float((first(x).argmax(1).numpy() == four_classes()[1]).mean())
    assert own_accuracy(first, features, four_classes()[1]) == right
    assert not np.array_equal(kept_features(tmp_path, other, x, "float32"), features)
    assert not np.array_equal(kept_features(tmp_path, first, x[:9], "float32"), features)
    monkeypatch.setattr("experiments.study.ceiling.extract_features", None)
    np.testing.assert_array_equal(kept_features(tmp_path, first, x, "float32"), features)
