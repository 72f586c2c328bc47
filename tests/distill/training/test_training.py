"""Training: deterministic, schedule as written, learns, and leaves the caller's state alone."""

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from pydantic import ValidationError
from torch import nn

from sne_deploy.distill.losses import training_variance
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.evaluate import accuracy, evaluate_student
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.student import Lesson, StudentTask, train_student
from sne_deploy.distill.teacher.network import Teacher, extract_features, train_teacher
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import Training, cosine, fit
from sne_deploy.errors import InputError, RunError


def regression(samples: int = 256) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, two non-linear features of different scale, labels."""
    inputs = torch.rand(samples, 6, generator=torch.Generator().manual_seed(0))
    features = torch.stack([30 * (inputs[:, 0] - inputs[:, 1]).relu() + 100, inputs[:, 2:].sum(1)], dim=1)
    return inputs, features, (inputs[:, 0] > inputs[:, 1]).long()


def lesson() -> Lesson:
    inputs, features, labels = regression()
    return Lesson(inputs, labels, (features,))


def small_student() -> nn.Sequential:
    box = LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), alpha=torch.tensor(10.0))
    lif = norse.LIFParameters(
        tau_mem_inv=torch.tensor(500.0), tau_syn_inv=torch.tensor(500.0), alpha=torch.tensor(10.0)
    )
    cell = norse.LIFRecurrentCell(24, 16, p=lif)
    readout = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0)))
    return nn.Sequential(nn.Linear(6, 24), norse.LIFBoxCell(box), cell, nn.Linear(16, 2), readout)


TASK = StudentTask(8, "v_mean", StudentLoss(cross_entropy=0.3, spike_rate=5.0, target_rate=0.15))
TRAINING = Training(Schedule(epochs=25, batch_size=16, learning_rate=1e-2), seed=4)


@pytest.fixture(scope="module")
def trained():
    return train_student(small_student, lesson(), TASK, TRAINING)


def explained_variance(outputs: np.ndarray, features: np.ndarray) -> float:
    return float(
        1.0 - np.square(outputs - features).sum() / np.square(features - features.mean(axis=0)).sum()
    )


def test_a_student_learns_features_rates_and_keeps_no_autapses(trained):
    inputs, features, _ = regression()
    figures = evaluate_student(trained.module, inputs, TASK.timesteps, TASK.readout)
    scale, mean = training_variance(features).sqrt().numpy(), features.mean(0).numpy()
    predicted = figures.outputs * scale + mean
    assert explained_variance(predicted[:, :1], features[:, :1].numpy()) > 0.7
    assert explained_variance(predicted[:, 1:], features[:, 1:].numpy()) > 0.5
    assert trained.log[-1]["feature"] < 0.5 * trained.log[0]["feature"]
    assert set(trained.log[0]) == {"feature", "cross_entropy", "spike_rate"}
    assert all(0.05 < rate < 0.3 for rate in figures.rates)
    assert not trained.module.training
    cell = trained.module[2]
    assert not cell.recurrent_weights.diagonal().any()
    assert cell.recurrent_weights.any()


def test_same_seed_same_tensors_whatever_the_callers_generator(trained):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = train_student(small_student, lesson(), TASK, TRAINING)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()
    first, second = trained.module.state_dict(), again.module.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert trained.log == again.log
    other = train_student(small_student, lesson(), TASK, Training(Schedule(epochs=1), seed=5))
    assert not torch.equal(other.module[0].weight, first["0.weight"])


def test_spike_figures_are_counted_spike_by_spike(trained):
    inputs, _, _ = regression(9)
    figures = evaluate_student(trained.module, inputs, TASK.timesteps, TASK.readout, batch_size=4)
    with torch.no_grad():
        run = simulate(trained.module, inputs, TASK.timesteps, TASK.readout)
    counts = sum((rate * TASK.timesteps).round().sum().item() for rate in run.rates)
    assert figures.spikes_per_sample == pytest.approx(counts / 9, rel=1e-6)
    np.testing.assert_allclose(figures.outputs, run.outputs.numpy(), rtol=1e-5, atol=1e-6)


def test_the_variance_floor_by_hand():
    features = torch.tensor([[0.0, 5.0], [2.0, 5.0]])
    # variances 1 and 0, mean 0.5, floor 0.01 of it
    torch.testing.assert_close(training_variance(features), torch.tensor([1.0, 0.005]))
    with pytest.raises(InputError, match="do not vary over the training set"):
        training_variance(torch.ones(4, 3))


def test_cosine_by_hand():
    assert [round(cosine(progress), 6) for progress in (0.0, 0.5, 1.0)] == [1.0, 0.5, 0.0]


def test_fit_takes_the_step_that_adamw_takes():
    """One full batch: the first step of Adam is the learning rate in the gradient's sign."""
    schedule = Schedule(epochs=1, batch_size=9, learning_rate=0.25, weight_decay=0.0, clip_norm=1e9)
    data = torch.full((4, 1), 3.0)

    def build():
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, 2.0)
        return layer

    objective = lambda module, batch: {"loss": module(batch[0]).mean()}  # noqa: E731
    result = fit(build, [data], objective, Training(schedule))
    assert result.module.weight.item() == pytest.approx(1.75, abs=1e-6)
    assert result.log == ({"loss": 6.0},)


def test_what_is_changed_after_each_step_is_what_the_next_one_starts_from():
    """A weight that is set back to 0 after every step; the first look is before any step."""
    schedule = Schedule(epochs=2, batch_size=4, learning_rate=0.25, weight_decay=0.0)
    seen = []

    def zeroed(module, progress):
        seen.append((progress, module.weight[0, 0].item()))
        module.weight[0, 0] = 0.0

    def build():
        layer = nn.Linear(2, 1, bias=False)
        nn.init.constant_(layer.weight, 2.0)
        return layer

    training = Training(schedule, after_step=zeroed)
    objective = lambda module, batch: {"loss": module(batch[0]).mean()}  # noqa: E731
    weight = fit(build, [torch.ones(8, 2)], objective, training).module.weight
    assert [progress for progress, _ in seen] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert seen[0][1] == 2.0
    assert all(value < 0 for _, value in seen[1:])  # the optimizer moves it, from 0, each time
    assert weight[0, 0] == 0.0
    assert weight[0, 1] < 1.9


def test_fit_tells_of_divergence():
    schedule = Schedule(epochs=1, learning_rate=0.1)
    with pytest.raises(
        RunError, match=r"training diverged: loss .*nan.*; lower schedule\.learning_rate 0\.1"
    ):
        fit(
            lambda: nn.Linear(1, 1),
            [torch.full((4, 1), torch.nan)],
            lambda m, b: {"l": m(b[0]).mean()},
            Training(schedule),
        )


def test_fit_refuses_tensors_of_different_lengths():
    with pytest.raises(InputError, match=r"tensors of one length > 0, got lengths \[2, 3\]"):
        fit(
            lambda: nn.Linear(1, 1),
            [torch.ones(2, 1), torch.ones(3)],
            lambda m, b: {},
            Training(Schedule(epochs=1)),
        )


@pytest.mark.parametrize("change", [{"epochs": 0}, {"learning_rate": float("nan")}, {"warmup": 1.0}])
def test_schedule_refuses(change):
    with pytest.raises(ValidationError, match=rf"{next(iter(change))}\n.*(greater|less|finite)"):
        Schedule(**change)


@pytest.mark.parametrize(
    "change", [{"feature": 0.0}, {"spike_rate": -1.0}, {"target_rate": 1.5}, {"cross_entropy": float("nan")}]
)
def test_student_loss_refuses(change):
    wrong = (
        "nothing to learn" if not any(change.values()) else rf"{next(iter(change))}\n.*(greater|less|finite)"
    )
    with pytest.raises(ValidationError, match=wrong):
        StudentLoss(**change)


def test_deterministic_restores_after_an_error():
    threads = torch.get_num_threads()
    before = torch.get_rng_state()
    inside = 0
    try:
        with deterministic(3, threads + 1):
            inside = torch.get_num_threads()
            raise KeyError
    except KeyError:
        assert inside == threads + 1
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_teacher_learns_and_its_features_are_what_its_classifier_sees():
    inputs, _, labels = regression()

    def build():
        return Teacher(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5)), nn.Linear(8, 2))

    training = Training(Schedule(epochs=30, batch_size=32, learning_rate=2e-2))
    teacher = train_teacher(build, (inputs, labels), training).module
    features = extract_features(teacher.train(), inputs, batch_size=100)
    assert teacher.training  # as it was
    teacher.eval()
    with torch.no_grad():
        torch.testing.assert_close(teacher.classifier(features), teacher(inputs))
        assert accuracy(teacher(inputs).numpy(), labels.numpy()) > 0.95


def test_accuracy_by_hand_and_refusals():
    assert accuracy(np.array([[0, 1], [1, 0], [0, 1]]), np.array([1, 1, 1])) == pytest.approx(2 / 3)
    for logits, labels in ((np.zeros((2, 2)), np.zeros(3)), (np.zeros((0, 2)), np.zeros(0))):
        with pytest.raises(InputError, match=f"{len(logits)} logits for {len(labels)} labels"):
            accuracy(logits, labels)
