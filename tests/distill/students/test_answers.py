"""Answers to augmented samples: of the very images that are shown, each sample once in an epoch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sne_deploy.distill.data.augment import Augmentation
from sne_deploy.distill.data.splits import Splits
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.schema.corruptions import CorruptionsModel
from sne_deploy.distill.stages import Stages
from sne_deploy.distill.students.answers import StoredAnswers
from sne_deploy.distill.teacher.network import Teacher
from sne_deploy.distill.training.loop import Samples
from sne_deploy.errors import ExperimentError
from tests.distill.test_run import DOCUMENT, KilledError, experiment, killed_after, tensors

SAMPLES, CLASSES = 23, 3
PARTS = (np.array([4, 0]), np.array([1, 3, 2]))
AUGMENTED = {
    **DOCUMENT["data"],
    "augment": "crop-flip-cutout",
    "corruptions": {"share": 0.7, "gaussian": (0.1, 0.2), "contrast": (0.2, 0.5)},
}


def described(answers: dict[str, Any], **changes: Any) -> Any:
    students = {**DOCUMENT["students"], "copies": 0, "answers": answers}
    return experiment(**{"data": AUGMENTED, "students": students, **changes})


def teacher() -> Teacher:
    torch.manual_seed(5)
    features = nn.Sequential(nn.Flatten(), nn.Linear(2 * 64, 5), nn.BatchNorm1d(5), nn.ReLU())
    return Teacher(features, nn.Linear(5, CLASSES)).eval()


def splits() -> Splits:
    x = torch.rand(SAMPLES, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(SAMPLES)  # a label says which sample it is
    return Splits(x, y, x, y, x[:0], np.zeros(0, np.int64))


def samples(folder: Path, answers: dict[str, Any], **changes: Any) -> Samples:
    data = splits()
    made = Stages(described(answers, **changes), folder).answers(teacher(), data, PARTS, "teacher")
    assert made is not None
    return made.samples(data.x, data.y)


def batches(given: Samples, epoch: int) -> list[list[torch.Tensor]]:
    tensors = given.epoch(epoch)
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
    return [list(given.batch([one[rows] for one in tensors])) for rows in order.split(7)]


def images_of(given: Samples, epoch: int) -> torch.Tensor:
    """By sample."""
    whole = [torch.cat(parts) for parts in zip(*batches(given, epoch), strict=True)]
    return whole[0][whole[1].argsort()]


@pytest.mark.parametrize("answers", [{"copies": 3}, {"fresh": True}])
def test_the_teacher_answers_the_very_images_that_are_shown(tmp_path: Path, answers: dict[str, Any]) -> None:
    asked, shown = teacher(), []
    given = samples(tmp_path, answers)
    for epoch in range(3):
        seen = []
        for images, labels, *slices, logits in batches(given, epoch):
            with torch.no_grad():
                features = asked.features(images)
                torch.testing.assert_close(logits, asked(images))
            for part, told in zip(PARTS, slices, strict=True):
                torch.testing.assert_close(told, features[:, part])
            seen += labels.tolist()
        assert sorted(seen) == list(range(SAMPLES))
        shown.append(images_of(given, epoch))
    assert all(not torch.equal(shown[k], shown[k - 1]) for k in range(3))


def test_an_epoch_shows_the_versions_in_turn_each_of_its_own_draw(tmp_path: Path) -> None:
    given = samples(tmp_path, {"copies": 2})
    shown = [images_of(given, epoch) for epoch in range(4)]
    assert torch.equal(shown[0], shown[2])
    assert torch.equal(shown[1], shown[3])
    assert not torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], splits().x)
    more = samples(tmp_path, {"copies": 3})  # the first versions are the same ones, not computed again
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) == 2
    assert [torch.equal(images_of(more, k), shown[k]) for k in range(2)] == [True, True]
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert not torch.equal(images_of(more, 2), shown[0])


def test_features_that_nobody_learns_are_not_kept(tmp_path: Path) -> None:
    loss = {"feature": 0.0, "logits": 1.0}
    students = {**DOCUMENT["students"], "copies": 0, "answers": {"copies": 1}, "loss": loss}
    given = samples(tmp_path, {}, students=students, joint=None)
    assert given.epoch(0)[2].shape == (SAMPLES, CLASSES)
    for images, _, *slices, logits in batches(given, 0):
        assert [tuple(part.shape) for part in slices] == [(len(images), 0)] * 2
        with torch.no_grad():
            torch.testing.assert_close(logits, teacher()(images))


def test_the_first_samples_and_one_student_s_slice(tmp_path: Path) -> None:
    data = splits()
    whole = Stages(described({"copies": 1}), tmp_path).answers(teacher(), data, PARTS, "teacher")
    assert isinstance(whole, StoredAnswers)
    some = whole.first(6).of(1).samples(data.x[:6], data.y[:6])
    everything = whole.samples(data.x, data.y)
    got, wanted = (one.batch([part[:6] for part in one.epoch(0)]) for one in (some, everything))
    assert len(some.epoch(0)[2]) == 6
    for a, b in zip(got, [wanted[0], wanted[1], wanted[3], wanted[4]], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "kind", ["none", "shift", "shift-contrast", "crop-flip", "crop-flip-contrast", "crop-flip-cutout"]
)
def test_an_image_is_made_of_itself_and_its_numbers_alone(kind: str) -> None:
    x = torch.rand(40, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    augmentation = Augmentation(kind, CorruptionsModel(gaussian=(0.1, 0.2)))
    torch.manual_seed(3)
    drawn = augmentation.draw(len(x))
    whole = augmentation.make(x, drawn)
    rows = torch.randperm(len(x))[:11]
    assert torch.equal(augmentation.make(x[rows], tuple(one[rows] for one in drawn)), whole[rows])
    torch.manual_seed(3)
    assert torch.equal(augmentation([x])[0], whole)


@pytest.mark.parametrize("answers", [{"copies": 2}, {"fresh": True}])
def test_a_killed_run_with_answers_ends_where_an_undisturbed_one_does(
    tmp_path: Path, answers: dict[str, Any]
) -> None:
    given = described(answers, partition={}, quantisation={})
    whole = run_experiment(given, tmp_path / "whole")
    for epochs in (3, 2, 2):  # in student0, in student1 and in the joint stage
        with pytest.raises(KilledError):
            run_experiment(given, tmp_path / "killed", killed_after(epochs))
    resumed = run_experiment(given, tmp_path / "killed")
    for wanted, found in zip(tensors(whole.ensemble), tensors(resumed.ensemble), strict=True):
        np.testing.assert_array_equal(wanted, found)
    assert dataclasses.astuple(whole.fitted) == dataclasses.astuple(resumed.fitted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answers", "changes", "message"),
    [
        ({}, {}, r"students\.answers: give either copies or fresh = true"),
        ({"copies": 2, "fresh": True}, {}, r"students\.answers: give either copies or fresh = true"),
        ({"copies": 0}, {}, r"students\.answers\.copies: input should be greater than or equal to 1, not 0"),
        (
            {"copies": 2},
            {"data": {**DOCUMENT["data"], "augment": "none"}},
            "students.answers is of augmented images",
        ),
        (
            {"copies": 2},
            {"joint": {**DOCUMENT["joint"], "copies": 1}},
            "joint.copies 1: the stage sees",
        ),
    ],
)
def test_what_does_not_fit_is_refused(answers: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        described(answers, **changes)


def test_answers_are_not_beside_copies() -> None:
    students = {**DOCUMENT["students"], "answers": {"copies": 2}}
    with pytest.raises(
        ExperimentError, match="answers take the place of copies: leave out copies 1, or answers"
    ):
        parse_experiment({**DOCUMENT, "students": students})
