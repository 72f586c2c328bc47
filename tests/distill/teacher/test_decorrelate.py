"""Fine-tuning a teacher disentangles its parts and keeps what it knows."""

import numpy as np
import pytest
import torch
from torch import nn

from sne_deploy.distill.losses import decorrelation
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.students.evaluate import accuracy
from sne_deploy.distill.teacher.network import (
    Teacher,
    decorrelate_teacher,
    extract_features,
    train_teacher,
)
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import InputError

PARTS = (np.array([0, 1, 2, 3]), np.array([4, 5, 6, 7]))


def data(samples: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.rand(samples, 6, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs[:, 0] > inputs[:, 1]).long()


def build() -> Teacher:
    return Teacher(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU()), nn.Linear(8, 2))


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return train_teacher(
        build, data(), Training(Schedule(epochs=10, batch_size=64, learning_rate=2e-2))
    ).module


def test_parts_become_disentangled_and_accuracy_stays(teacher):
    inputs, labels = data()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    schedule = Schedule(epochs=15, batch_size=128, learning_rate=1e-2)
    tuned = decorrelate_teacher(teacher, (inputs, labels), PARTS, 2.0, Training(schedule))
    correlation = [decorrelation(extract_features(t, inputs), PARTS).item() for t in (teacher, tuned.module)]
    assert correlation[1] < 0.5 * correlation[0]
    with torch.no_grad():
        assert accuracy(tuned.module(inputs).numpy(), labels.numpy()) > 0.93
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert set(tuned.log[0]) == {"cross_entropy", "decorrelation"}
    again = decorrelate_teacher(teacher, (inputs, labels), PARTS, 2.0, Training(schedule))
    assert again.log == tuned.log


@pytest.mark.parametrize(
    ("weight", "batch_size", "message"),
    [(0.0, 64, r"weight 0\.0 must be positive"), (1.0, 1, "batch_size 1 has no correlation")],
)
def test_refuses(teacher, weight, batch_size, message):
    with pytest.raises(InputError, match=message):
        decorrelate_teacher(
            teacher, data(8), PARTS, weight, Training(Schedule(epochs=1, batch_size=batch_size))
        )
