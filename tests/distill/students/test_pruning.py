"""Pruning: how much, when and of what; and that what is 0 stays 0, resumed or not, to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import sne_deploy as sne
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.schema.pruning import PruningModel
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.pruning import KeptZeros, Pruning, SmallestWeights, prunable, prune_smallest
from sne_deploy.distill.students.student import StudentTask, train_student
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import ExperimentError, InputError
from tests.distill.test_run import DOCUMENT, KilledError, killed_after, tensors
from tests.distill.training.test_training import lesson, small_student

HALF = PruningModel(sparsity=0.5, start=0.1, end=0.6, every=4, first=0.5, last=0.8)


class Pupil(nn.Module):
    """A learner of one network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.networks = nn.ModuleList([network])


def zeros(weight: torch.Tensor) -> int:
    return int((weight == 0).sum())


def test_the_share_is_cubic_by_hand() -> None:
    shares = [HALF.share(progress) for progress in (0.0, 0.1, 0.35, 0.6, 1.0)]
    assert shares == pytest.approx([0.0, 0.0, 0.875, 1.0, 1.0])


@given(st.integers(1, 300), st.integers(1, 60), st.floats(0, 0.9), st.floats(0.01, 1))
def test_the_last_pruning_is_never_missed(steps: int, every: int, start: float, way: float) -> None:
    described = PruningModel(sparsity=0.5, start=start, end=min(1.0, start + way), every=every)
    pruning = Pruning(described, steps, lambda *_: None)
    due = [step for step in range(steps + 1) if pruning.due(step / steps)]
    last = due[-1]
    assert abs(last - described.end * steps) <= 1
    assert described.share(last / steps) == pytest.approx(1.0, abs=1.1 / steps / (described.end - start))
    assert all(step % every == 0 and step > start * steps for step in due[:-1])


@given(st.integers(0, 2**31), st.floats(0.01, 0.99))
def test_the_smallest_weights_of_each_tensor_go(seed: int, sparsity: float) -> None:
    torch.manual_seed(seed)
    network = small_student()
    before = [one.weight.detach().clone() for one in prunable(network)]
    weights = prunable(network, first=0.0, last=0.7)
    with torch.no_grad():
        prune_smallest(weights, sparsity)
    assert [one.share for one in weights] == [0.0, 1.0, 1.0, 0.7]
    for one, was in zip(weights, before, strict=True):
        size = was.numel() - one.autapses
        assert zeros(one.weight) == one.autapses + int(sparsity * one.share * size)
        kept = one.weight != 0
        torch.testing.assert_close(one.weight.detach()[kept], was[kept], rtol=0, atol=0)
        if kept.any() and not kept.all():
            assert was[~kept].abs().max() <= was[kept].abs().min()


def test_a_student_is_trained_and_ends_with_the_zeros_that_it_should_have() -> None:
    task = StudentTask(4, "v_mean", StudentLoss(cross_entropy=0.3))
    schedule = Schedule(epochs=5, batch_size=32, learning_rate=1e-2)
    heard: list[int] = []

    class Heard(Pruning):
        def __call__(self, learner: nn.Module, progress: float) -> None:
            super().__call__(learner, progress)
            heard.append(zeros(prunable(learner.network)[1].weight))  # type: ignore[arg-type]

    made = train_student(
        small_student,
        lesson(),
        task,
        Training(schedule, seed=1, after_step=Heard(HALF, 40, SmallestWeights.of(HALF, spikes=False))),
    )
    first, inner, recurrent, last = (one.weight for one in prunable(made.module))
    assert zeros(first) == int(0.25 * first.numel())
    assert zeros(inner) == int(0.5 * inner.numel())
    assert zeros(recurrent) == 16 + int(0.5 * 16 * 15)
    assert zeros(last) == int(0.4 * last.numel())
    assert heard == sorted(heard)
    assert heard[4] == 0 < heard[8] < heard[23] < heard[24] == heard[-1]


def test_what_is_zero_stays_zero_whatever_moves_it() -> None:
    linear = nn.Linear(4, 3)
    pupil, keeps = Pupil(nn.Sequential(linear, nn.BatchNorm1d(3))), KeptZeros()
    with torch.no_grad():
        linear.weight[0, 1:] = 0.0
        keeps(pupil, 0.0)
        for step in range(3):
            linear.weight += 1.0 + step
            linear.bias += 1.0
            keeps(pupil, 1.0)
    assert zeros(linear.weight) == 3
    assert not linear.weight[0, 1:].any()
    assert linear.bias.all()


def pruned_experiment(**pruning: Any) -> Any:
    own = {"sparsity": 0.6, "every": 3, "first": 0.5, **pruning}
    students = {**DOCUMENT["students"], "count": 1, "pruning": own}
    shorter = {"partition": {}, "policy": {}, "quantisation": {"epochs": 1}, "students": students}
    return parse_experiment({**DOCUMENT, **shorter})


def test_an_experiment_keeps_zeros_to_the_end_killed_or_not(tmp_path: Path) -> None:
    whole = run_experiment(pruned_experiment(), tmp_path / "whole")
    for epochs in (3, 3):
        with pytest.raises(KilledError):
            run_experiment(pruned_experiment(), tmp_path / "killed", killed_after(epochs))
    resumed = run_experiment(pruned_experiment(), tmp_path / "killed")
    for wanted, found in zip(tensors(whole.ensemble), tensors(resumed.ensemble), strict=True):
        np.testing.assert_array_equal(wanted, found)
    for student in whole.ensemble.students:
        assert isinstance(student, sne.Student)
        maps = [layer.tensors["weight"] for layer in student.network if "weight" in layer.tensors]  # type: ignore[union-attr]
        conv, linear = (weight for weight in maps if weight.ndim > 1)
        assert np.sum(conv == 0) >= int(0.3 * conv.size)
        assert np.sum(linear == 0) >= int(0.42 * linear.size)
        assert np.sum(linear == 0) < 0.5 * linear.size


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"sparsity": 1.0}, "students.pruning.sparsity: input should be less than 1"),
        ({"start": 0.7}, "students.pruning: start 0.7 must be below end 0.6"),
        ({"every": 0}, "students.pruning.every"),
        ({"by": "size"}, "students.pruning.by"),
    ],
)
def test_what_cannot_be_is_refused(pruning: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        pruned_experiment(**pruning)
    assert message in str(caught.value)


def test_a_student_without_anything_to_prune_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"students\.pruning: .*no share in it; set first or last above 0"):
        run_experiment(pruned_experiment(first=0.0, last=0.0), tmp_path)
    run_experiment(pruned_experiment(first=0.1, last=0.0), tmp_path)
