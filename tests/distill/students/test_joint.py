"""Training together: what the deployed head would compute, and students that can be missed."""

from dataclasses import dataclass, replace
from functools import partial

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.distill import losses
from sne_deploy.distill.losses import training_variance
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.dropout import first_students, uniform_subsets
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.joint import MOMENTUM, JointModel, JointTask, tune_together
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.student import Lesson
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head
from sne_deploy.runtime.head import logits as deployed_logits

STEPS = 6
READOUT = "v_mean"
ONE_BATCH = Training(Schedule(epochs=1, batch_size=1000, learning_rate=1e-3), seed=2)


def feed_forward() -> nn.Sequential:
    box = LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.3), alpha=torch.tensor(10.0))
    readout = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0)))
    return nn.Sequential(nn.Linear(6, 12), norse.LIFBoxCell(box), nn.Linear(12, 2), readout)


def recurrent() -> nn.Sequential:
    lif = norse.LIFParameters(
        tau_mem_inv=torch.tensor(500.0),
        tau_syn_inv=torch.tensor(500.0),
        v_th=torch.tensor(0.5),
        alpha=torch.tensor(10.0),
    )
    readout = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0)))
    return nn.Sequential(norse.LIFRecurrentCell(6, 10, p=lif), nn.Linear(10, 1), readout)


@dataclass
class Case:
    networks: list[nn.Module]
    head: Head
    inputs: torch.Tensor
    features: list[torch.Tensor]
    labels: torch.Tensor
    teacher: torch.Tensor

    def tune(self, task: JointTask, training: Training):
        lesson = Lesson(self.inputs, self.labels, tuple(self.features), self.teacher)
        return tune_together(self.networks, self.head, lesson, task, training)

    def outputs(self) -> list[np.ndarray]:
        return [evaluate_student(network, self.inputs, STEPS, READOUT).outputs for network in self.networks]


@pytest.fixture(scope="module")
def case() -> Case:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(96, 6, generator=generator)
    features = torch.stack(
        [inputs[:, 0] - inputs[:, 1], inputs[:, 2] - 0.5, inputs[:, 3:].sum(1) - 1.5], dim=1
    )
    teacher = 6 * features
    with deterministic(1):
        networks = [feed_forward().eval(), recurrent().eval()]
    made = Case(
        networks, Head("mean"), inputs, [features[:, :2], features[:, 2:]], teacher.argmax(1), teacher
    )
    made.head = fit_head(made.outputs(), made.labels.numpy(), subset_bias=True)
    return made


@dataclass(frozen=True)
class Fixed:
    """A schedule that answers what it was told, in the batch's order."""

    present: torch.Tensor

    def __call__(self, samples: int, students: int) -> torch.Tensor:
        assert self.present.shape == (samples, students)
        return self.present


def test_the_model_gives_the_deployed_heads_logits(case):
    """Absent slices are the mean, in training and on the host; every subset, biases included."""
    model = JointModel(case.networks, case.head, JointTask(STEPS, subset_bias=True)).eval()
    outputs = case.outputs()
    present = torch.tensor([[True, False], [False, True], [True, True]]).repeat(32, 1)
    with torch.no_grad():
        found = model([torch.from_numpy(o).float() for o in outputs], present)
    expected = deployed_logits(case.head, outputs, present.numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)
    without = JointModel(case.networks, case.head, JointTask(STEPS)).eval()
    expected = deployed_logits(replace(case.head, subset_bias=None), outputs, present.numpy())
    with torch.no_grad():
        found = without([torch.from_numpy(o).float() for o in outputs], present)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_the_running_mean_by_hand_and_only_while_training(case):
    model = JointModel(case.networks, case.head, JointTask(STEPS))
    outputs = [torch.tensor([[1.0, 2.0], [3.0, 2.0]]), torch.tensor([[5.0], [7.0]])]
    before = model.mean.clone()
    model.eval()(outputs, torch.ones(2, 2, dtype=torch.bool))
    assert torch.equal(model.mean, before)
    logits = model.train()(outputs, torch.tensor([[True, False], [True, False]]))
    after = (1 - MOMENTUM) * before + MOMENTUM * torch.tensor([2.0, 2.0, 6.0])
    torch.testing.assert_close(model.mean, after)
    seen = torch.cat([outputs[0], after[2:].expand(2, 1)], dim=1)
    torch.testing.assert_close(logits, seen @ model.weight.T + model.bias)


def test_every_term_is_its_weight_times_its_definition(case):
    weights = StudentLoss(
        feature=0.5,
        cross_entropy=2.0,
        spike_rate=3.0,
        target_rate=0.2,
        logits=0.7,
        tau_student=4.0,
        tau_teacher=2.0,
        synops=11.0,
    )
    present = torch.tensor([[True, True], [True, False], [False, True]]).repeat(32, 1)
    every_sample_present_alike = present[:1].expand(96, 2)  # batches are in random order
    task = JointTask(STEPS, READOUT, weights, dropout=Fixed(every_sample_present_alike))
    terms = case.tune(task, ONE_BATCH).log[0]
    with torch.no_grad():
        runs = [simulate(network, case.inputs, STEPS, READOUT) for network in case.networks]
        logits = torch.from_numpy(
            deployed_logits(
                replace(case.head, subset_bias=None),
                [run.outputs.double().numpy() for run in runs],
                every_sample_present_alike.numpy(),
            )
        ).float()
        own = [
            losses.feature_distillation(
                run.outputs * training_variance(t).sqrt() + t.mean(0), t, training_variance(t)
            )
            for run, t in zip(runs, case.features, strict=True)
        ]
        rates = [rate for run in runs for rate in run.rates]
        costs = [cost for network in case.networks for cost in fan_outs(network, (6,))]
        expected = {
            "feature": 0.5 * sum(own) / 2,
            "cross_entropy": 2.0 * losses.cross_entropy(logits, case.labels),
            "logits": 0.7 * losses.logits_distillation(logits, case.teacher, 4.0, 2.0),
            "spike_rate": 3.0 * losses.spike_rate(rates, 0.2),
            "synops": 11.0 * losses.synop_cost(rates, costs, STEPS),
        }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert terms[name] == pytest.approx(value.item(), rel=1e-4)
        assert value > 0


def subset_cross_entropy(
    head: Head, outputs: list[np.ndarray], labels: torch.Tensor, active: list[bool]
) -> float:
    present = np.tile(np.array(active), (len(labels), 1))
    return losses.cross_entropy(torch.from_numpy(deployed_logits(head, outputs, present)), labels).item()


def test_with_dropout_the_head_learns_to_do_without_students(case):
    loss = StudentLoss(feature=0.1, cross_entropy=1.0)
    training = Training(Schedule(epochs=15, batch_size=16, learning_rate=2e-2), seed=1)
    states = [{n: v.clone() for n, v in network.state_dict().items()} for network in case.networks]
    tuned = case.tune(JointTask(STEPS, READOUT, loss, dropout=uniform_subsets, subset_bias=True), training)
    after = replace(case, networks=list(tuned.networks), head=tuned.head)
    for active in ([True, False], [False, True], [True, True]):
        before = subset_cross_entropy(case.head, case.outputs(), case.labels, active)
        assert subset_cross_entropy(tuned.head, after.outputs(), case.labels, active) < before - 0.02
    for network, state in zip(case.networks, states, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    means = np.concatenate([output.mean(axis=0) for output in after.outputs()])
    np.testing.assert_allclose(tuned.head.mean, means, rtol=1e-6, atol=1e-7)
    assert tuned.head.subset_bias[0].any()
    assert not tuned.head.subset_bias[1].any()
    cell = tuned.networks[1][0]
    assert not cell.recurrent_weights.diagonal().any()
    assert not torch.equal(cell.recurrent_weights, case.networks[1][0].recurrent_weights)
    assert not tuned.networks[0].training


def test_students_that_ask_for_no_gradient_are_trained_too_and_the_seed_decides(case):
    frozen = [feed_forward(), recurrent()]
    for network, source in zip(frozen, case.networks, strict=True):
        network.load_state_dict(source.state_dict())
        network.requires_grad_(False)
    task = JointTask(STEPS, READOUT, dropout=partial(first_students, order=(1, 0)))
    training = replace(ONE_BATCH, schedule=ONE_BATCH.schedule.model_copy(update={"batch_size": 32}))
    first, again = case.tune(task, training), replace(case, networks=frozen).tune(task, training)
    assert first.log == again.log
    assert np.array_equal(first.head.weight, again.head.weight)
    assert first.head.subset_bias is None
    for one, other, source in zip(first.networks, again.networks, case.networks, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
            if name.endswith(("weight", "weights")):
                assert not torch.equal(value, source.state_dict()[name])
    assert not frozen[0][0].weight.requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": 1}, "2 networks and 1 slices; give one each"),
        ({"head": Head("mean")}, "head 'mean' has nothing to train"),
        ({"head": Head("linear", np.zeros((3, 2)), np.zeros(3), np.zeros(2))}, r"weight has shape \(3, 2\)"),
        ({"teacher": None}, "logits 0.5 needs the teacher's logits"),
    ],
)
def test_refuses(case, change, message):
    task = JointTask(STEPS, READOUT, StudentLoss(logits=0.5))
    head = change.get("head", case.head)
    features = case.features[: change.get("features", 2)]
    wrong = replace(case, head=head, features=features, teacher=change.get("teacher", case.teacher))
    with pytest.raises(InputError, match=message):
        wrong.tune(task, ONE_BATCH)
