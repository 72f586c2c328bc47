"""A ReLU twin: by hand, at the student's thresholds, and as the start of its training."""

from __future__ import annotations

from typing import Any

import norse.torch as norse
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.losses import inner_distillation
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.checks import student_task
from sne_deploy.distill.students.drives import twin_activations
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.phases import phases_of
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.student import Lesson, StudentTask, train_alone, train_student
from sne_deploy.distill.students.warm_start import simulate_twin, twin_task
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import InputError
from tests.distill.test_run import DOCUMENT
from tests.effort import examples


def box(v_th: Any = 0.5, v_leak: float = 0.0, tau_mem_s: float = 2e-3) -> norse.LIFBoxCell:
    values = {"tau_mem_inv": 1.0 / tau_mem_s, "v_th": v_th, "v_leak": v_leak}
    return norse.LIFBoxCell(LIFBoxParameters(**{key: torch.as_tensor(one) for key, one in values.items()}))


def integrator() -> norse.LIBoxCell:
    return norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0)))


def test_a_twin_by_hand() -> None:
    current = torch.tensor([[-1.0, 0.5, 3.0]])
    counted = simulate_twin(nn.Sequential(box()), current, 4, "count")
    assert counted.outputs.tolist() == [[0.0, 2.0, 12.0]]  # i_th = 1, four steps
    assert counted.rates == ()
    # i_th = (1 - 0.2) * 4 = 3.2; of each neuron's own threshold: 2, 4, 1
    leaky = simulate_twin(nn.Sequential(box(1.0, 0.2, 4e-3)), current, 1, "count").outputs
    torch.testing.assert_close(leaky, torch.tensor([[0.0, 0.5, 3.0]]) / 3.2)
    each = simulate_twin(nn.Sequential(box(torch.tensor([1.0, 2.0, 0.5]))), current, 1, "count").outputs
    assert each.tolist() == [[0.0, 0.125, 3.0]]
    # an integrator with a gain of 1/4 takes it as its current at each of two steps: 1/4, then 7/16
    read = simulate_twin(nn.Sequential(box(), integrator()), current, 2, "v_last").outputs
    torch.testing.assert_close(read, torch.tensor([[0.0, 0.5, 3.0]]) * 7 / 16)


@settings(max_examples=examples(30))
@given(st.integers(0, 2**31), st.floats(0.1, 2.0), st.floats(-1.0, 1.0), st.floats(1e-3, 1e-2))
def test_one_in_the_twin_is_a_spike_in_the_student(
    seed: int, distance: float, v_leak: float, tau_mem_s: float
) -> None:
    network = nn.Sequential(box(v_leak + distance, v_leak, tau_mem_s))
    current = (
        torch.randn(2, 30, generator=torch.Generator().manual_seed(seed)) * 3 * distance * tau_mem_s / 1e-3
    )
    twin = simulate_twin(network, current, 1, "count").outputs
    sure = (twin - 1).abs() > 1e-4
    spikes = simulate(network, current, 1, "count").outputs
    assert torch.equal((twin > 1)[sure], (spikes > 0)[sure])


def lesson() -> Lesson:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(64, 6, generator=generator)
    features = torch.stack([inputs[:, 0] - inputs[:, 1], inputs[:, 2:].sum(1)], dim=1)
    return Lesson(inputs, (features[:, 0] > 0).long(), (features,))


def build() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), box(), nn.Linear(16, 2), integrator())


def test_a_student_begins_with_its_twins_weights() -> None:
    task = StudentTask(1, "v_mean", StudentLoss(cross_entropy=1.0, synops=0.5))
    schedule = Schedule(epochs=30, batch_size=32, learning_rate=2e-2)
    warm = train_alone(build, lesson(), twin_task(task), Training(schedule, seed=1))
    assert set(warm.log[0]) == {"feature", "cross_entropy"}
    assert warm.log[-1]["feature"] < 0.3 * warm.log[0]["feature"]
    still = Training(Schedule(epochs=1, batch_size=64, learning_rate=1e-12), seed=2)
    begun = train_alone(build, lesson(), task, still, warm.module).module
    for name, value in warm.module.state_dict().items():
        if "num_batches" not in name and "running" not in name:
            torch.testing.assert_close(begun.state_dict()[name], value, rtol=0, atol=1e-6)
    few = Training(Schedule(epochs=5, batch_size=32, learning_rate=5e-3), seed=2)
    cold = train_student(build, lesson(), task, few)
    helped = train_student(build, lesson(), task, few, warm.module)
    assert helped.log[-1]["feature"] < cold.log[-1]["feature"]


def test_a_twins_activations_by_hand() -> None:
    first = nn.Linear(2, 2, bias=False)
    second = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        second.weight.copy_(torch.tensor([[2.0, 1.0]]))
    twin = nn.Sequential(first, box(0.25), second, box(), integrator())
    # thresholds 0.5 and 1; the twin's own answers to 1.0 are 2.0: only what is compared ends at 1
    found = twin_activations(twin.train(), torch.tensor([[0.1, 1.0], [-1.0, 0.2]]), 3, "v_mean")
    torch.testing.assert_close(found[0], torch.tensor([[0.2, 1.0], [0.0, 0.4]]))
    torch.testing.assert_close(found[1], torch.tensor([[1.0], [0.4]]))
    assert twin.training
    assert not found[0].requires_grad


def test_a_students_layers_learn_its_twins() -> None:
    task = StudentTask(4, "v_mean", StudentLoss(feature=1.0))
    schedule = Schedule(epochs=20, batch_size=32, learning_rate=1e-2)
    warm = train_alone(build, lesson(), twin_task(task), Training(schedule, seed=1)).module
    kept = {name: value.clone() for name, value in warm.state_dict().items()}
    few = Training(Schedule(epochs=10, batch_size=32, learning_rate=1e-2), seed=2)
    taught = StudentTask(4, "v_mean", StudentLoss(feature=1.0, inner=0.5))
    targets = twin_activations(warm.network, lesson().inputs, 4, "v_mean")

    def far(trained: nn.Module) -> float:
        with torch.no_grad():
            rates = simulate(trained, lesson().inputs, 4, "v_mean").rates
        return inner_distillation(rates, targets).item()

    made = train_student(build, lesson(), taught, few, warm, warm.network)
    assert set(made.log[0]) == {"feature", "inner"}
    assert far(made.module) < 0.7 * far(train_student(build, lesson(), task, few, warm).module)
    assert all(torch.equal(value, kept[name]) for name, value in warm.state_dict().items())
    with pytest.raises(InputError, match=r"inner 0\.5 needs the student's trained twin; give twin"):
        train_student(build, lesson(), taught, few, warm)


def test_inner_layers_need_a_twin() -> None:
    students = {**DOCUMENT["students"], "loss": {"inner": 0.5}}
    with pytest.raises(
        InputError, match=r"loss.inner 0.5 is on .* give warm_start, such as {epochs = 5}, or"
    ):
        parse_experiment({**DOCUMENT, "students": students})
    described = parse_experiment({**DOCUMENT, "students": {**students, "warm_start": {"epochs": 5}}})
    (phase,) = phases_of(described.students, student_task(described))
    assert phase.task.loss.inner == 0.0
    plain = parse_experiment({**DOCUMENT, "students": {**students, "loss": {}, "warm_start": {"epochs": 5}}})
    twin = [one.fingerprint("students", without=phase.without) for one in (described, plain)]
    assert twin[0] == twin[1]  # and so the same trained twin
    assert described.fingerprint("students") != plain.fingerprint("students")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [norse.LIFCell(), integrator()],
            "warm_start is for LIFBoxCell neurons, not for LIFCell; leave it out",
        ),
        (
            [box(0.5, 0.5), integrator()],
            "warm_start needs v_th above v_leak, not a difference of 0; leave it out",
        ),
        ([integrator(), nn.Linear(3, 3)], "ends with its integrator, but Linear follows; leave out warm_"),
    ],
)
def test_what_has_no_twin_is_refused(layers: list[nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_twin(nn.Sequential(*layers), torch.zeros(1, 3), 2, "v_mean")


def test_series_have_no_twin() -> None:
    with pytest.raises(InputError, match="has no state: it takes a constant input; leave out warm_start"):
        simulate_twin(nn.Sequential(box()), torch.zeros(1, 2, 3), 2, "count", torch.tensor([2]))
    data = {"source": "npz", "folder": "x", "input": "spikes"}
    teacher = {"architecture": "tcn"}
    for key, value in {"warm_start": {"epochs": 1}, "more_steps": {"epochs": 1, "timesteps": 9}}.items():
        students = {**DOCUMENT["students"], key: value}
        with pytest.raises(
            InputError, match=rf"students.{key} needs a constant .* 'spikes' .*: leave it out"
        ):
            parse_experiment({**DOCUMENT, "data": data, "teacher": teacher, "students": students})


def test_more_steps_are_more() -> None:
    students = {**DOCUMENT["students"], "more_steps": {"epochs": 1, "timesteps": 3}}
    with pytest.raises(InputError, match=r"more_steps.timesteps 3 must be above timesteps 3"):
        parse_experiment({**DOCUMENT, "students": students})
    described = parse_experiment({**DOCUMENT, "students": {**students, "timesteps": 2}})
    phases = phases_of(described.students, student_task(described))
    assert [(one.name, one.task.timesteps, one.schedule.epochs) for one in phases] == [("longer", 3, 1)]


def test_in_one_step_a_threshold_or_a_leak_is_a_scale_of_the_norm_before_it() -> None:
    """So there is nothing that trained ones could add to a trained batch norm."""

    def network(v_th: float, tau_mem_s: float) -> nn.Sequential:
        described = ({"kind": "Conv2d", "out": 4}, {"kind": "BatchNorm2d"})
        neurons = {"kind": "LIFBoxCell", "v_th": v_th, "tau_mem_s": tau_mem_s}
        layers = [LayerModel.model_validate(one) for one in (*described, neurons)]
        torch.manual_seed(0)
        return student_network(layers, (1, 6, 6), 1, 1e-3)

    one, other = network(0.5, 2e-3), network(1.0, 4e-3)
    with torch.no_grad():
        for each, scale in ((one, 1.0), (other, 4.0)):
            each[1].get_parameter("weight").copy_(scale * torch.tensor([0.5, 1.0, 2.0, 3.0]))
            each[1].get_parameter("bias").copy_(scale * torch.tensor([0.3, 0.9, 1.1, -0.5]))
    x = torch.randn(8, 1, 6, 6)
    ours, theirs = (simulate(each.train(), x, 1, "count").outputs for each in (one, other))
    assert torch.equal(ours, theirs)
    assert 0 < ours.mean() < 1
