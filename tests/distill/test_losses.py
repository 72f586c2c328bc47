"""Losses against values worked out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.losses import (
    all_subsets,
    cross_entropy,
    decorrelation,
    feature_distillation,
    gate_activation,
    hoyer,
    inner_distillation,
    logits_distillation,
    spike_rate,
    synop_cost,
)
from sne_deploy.errors import InputError


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check_gradient(loss, *tensors: torch.Tensor) -> None:
    """Against finite differences, in float64."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    assert torch.autograd.gradcheck(loss, leaves, eps=1e-6, atol=1e-7, rtol=1e-4)


def test_feature_distillation_by_hand():
    outputs = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    targets = torch.tensor([[0.0, 4.0], [3.0, 1.0]])
    variance = torch.tensor([2.0, 0.5])
    # squares 1, 4 / 0, 1; over variance 0.5, 8 / 0, 2; mean 10.5 / 4
    assert feature_distillation(outputs, targets, variance).item() == 2.625


def test_predicting_the_training_mean_costs_one():
    targets = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 0.2])
    mean, variance = targets.mean(0), targets.var(0, correction=0)
    assert feature_distillation(mean.expand(50, 3), targets, variance).item() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("outputs", "targets", "variance"), [((2, 3), (2, 2), (2,)), ((2, 1), (2, 2), (2,)), ((2, 2), (2, 2), ())]
)
def test_feature_distillation_refuses_to_broadcast(outputs, targets, variance):
    with pytest.raises(InputError, match=r"do not match; expected \(N, F\), \(N, F\) and \(F,\)"):
        feature_distillation(torch.zeros(outputs), torch.zeros(targets), torch.ones(variance))


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
    # probabilities of the labels: 3/4 and 1/2
    expected = -(math.log(0.75) + math.log(0.5)) / 2
    assert cross_entropy(logits, torch.tensor([1, 0])).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_smoothed_labels_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)]])
    # the label's 3/4 counts 1 - 0.2 / 2, the other class's 1/4 counts 0.2 / 2
    expected = -0.9 * math.log(0.75) - 0.1 * math.log(0.25)
    assert cross_entropy(logits, torch.tensor([1]), 0.2).item() == pytest.approx(expected, rel=1e-6)


@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(1, 7),
    classes=st.integers(2, 9),
    smoothing=st.floats(0, 0.99),
)
def test_cross_entropy_equals_torchs(seed, rows, classes, smoothing):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64) * 30
    labels = torch.randint(classes, (rows,), generator=generator)
    theirs = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(logits, labels, smoothing), theirs, rtol=1e-12, atol=1e-12)


def test_spike_rate_by_hand():
    rates = [torch.tensor([[0.0, 0.4]]), torch.tensor([0.5, 0.3])]
    # layer means 0.2 and 0.4; distances to 0.1 are 0.1 and 0.3; (0.01 + 0.09) / 2
    assert spike_rate(rates, 0.1).item() == pytest.approx(0.05, rel=1e-6)


def test_spike_rate_pushes_a_busy_layer_down_and_a_silent_one_up():
    busy, silent = torch.full((4,), 0.9, requires_grad=True), torch.zeros(4, requires_grad=True)
    spike_rate([busy, silent], 0.2).backward()
    assert (busy.grad > 0).all()
    assert (silent.grad < 0).all()


def test_hoyer_by_hand():
    # 1 of 4, and (0.5 + 1)^2 / (0.25 + 1) / 3; below 0 is 0, above 1 is 1
    drives = [torch.tensor([0.0, -3.0, 7.0, 0.0]), torch.tensor([[0.5], [0.0], [1.0]])]
    assert hoyer(drives).item() == pytest.approx((0.25 + 0.6) / 2, rel=1e-6)
    assert hoyer([torch.zeros(3)]).item() == 0.0
    with pytest.raises(InputError, match="no spiking layer"):
        hoyer([])


def test_hoyer_raises_the_larger_drive_and_lowers_the_smaller():
    drives = torch.tensor([0.1, 0.2, 0.8], requires_grad=True)
    hoyer([drives]).backward()
    # (2 s q - 2 z s^2) / q^2 / n, with s = 1.1 and q = 0.69
    wanted = [(2 * 1.1 * 0.69 - 2 * z * 1.21) / 0.69**2 / 3 for z in (0.1, 0.2, 0.8)]
    assert drives.grad.tolist() == pytest.approx(wanted, rel=1e-5)
    assert wanted[0] > wanted[1] > 0 > wanted[2]


def test_inner_distillation_by_hand():
    rates = [torch.tensor([[1.0, 0.0], [0.5, 0.0]]), torch.tensor([[[1.0]], [[0.0]]])]
    targets = [torch.tensor([[0.5, 0.0], [0.5, 1.0]]), torch.tensor([[[0.0]], [[0.5]]])]
    # squares 0.25, 1 over 0.25, 0.25, 1; and 1, 0.25 over 0.25
    assert inner_distillation(rates, targets).item() == pytest.approx((1.25 / 1.5 + 5.0) / 2, rel=1e-6)
    assert inner_distillation([torch.zeros(2, 3)], [torch.rand(2, 3) + 0.1]).item() == pytest.approx(1.0)
    assert inner_distillation([torch.zeros(2, 3)], [torch.zeros(2, 3)]).item() == 0.0  # and not 0 / 0
    with pytest.raises(
        InputError, match=r"rates of shapes \[\(2, 2\)\], targets of shapes \[\(2, 1\)\]; give"
    ):
        inner_distillation(rates[:1], [torch.zeros(2, 1)])
    with pytest.raises(InputError, match="no spiking layer; set its weight to 0"):
        inner_distillation([], [])


def test_spike_rate_needs_a_spiking_layer():
    with pytest.raises(InputError, match="no spiking layer; set its weight to 0"):
        spike_rate([], 0.1)


def test_logits_distillation_by_hand():
    teacher = torch.tensor([[0.0, 2 * math.log(3.0)]])
    student = torch.tensor([[0.0, 0.0]])
    # teacher at temperature 2: (1/4, 3/4); student: (1/2, 1/2) at any temperature
    divergence = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    loss = logits_distillation(student, teacher, tau_student=5.0, tau_teacher=2.0)
    assert loss.item() == pytest.approx(10.0 * divergence, rel=1e-6)


def test_logits_distillation_tells_the_two_temperatures_apart():
    teacher, student = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.0, 3 * math.log(3.0)]])
    # student at temperature 3 equals teacher at 1; the other way round: q from 3 log 3, p from log(3) / 3
    assert logits_distillation(student, teacher, 3.0, 1.0).item() == pytest.approx(0.0, abs=1e-6)
    p, q = 1 / (1 + 3 ** (-1 / 3)), 1 / (1 + 3.0**-3)
    divergence = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert logits_distillation(student, teacher, 1.0, 3.0).item() == pytest.approx(3 * divergence, rel=1e-5)


@given(seed=st.integers(0, 2**31), tau=st.floats(0.3, 20.0))
def test_equal_temperatures_are_the_conventional_loss(seed, tau):
    student, teacher = normal(seed, 5, 7) * 4, normal(seed + 1, 5, 7) * 4
    conventional = tau**2 * torch.nn.functional.kl_div(
        (student / tau).log_softmax(1), (teacher / tau).softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(logits_distillation(student, teacher, tau, tau), conventional)


@given(seed=st.integers(0, 2**31), tau_student=st.floats(0.5, 8.0), tau_teacher=st.floats(0.5, 8.0))
def test_logits_distillation_gradient_is_the_one_in_its_docstring(seed, tau_student, tau_teacher):
    student, teacher = normal(seed, 4, 3).requires_grad_(), normal(seed + 1, 4, 3)
    logits_distillation(student, teacher, tau_student, tau_teacher).backward()
    expected = tau_teacher * ((student / tau_student).softmax(1) - (teacher / tau_teacher).softmax(1)) / 4
    torch.testing.assert_close(student.grad, expected.detach())


def test_logits_distillation_is_finite_for_extreme_logits_and_has_the_right_gradient():
    extreme = torch.tensor([[1e4, 0.0, -1e4]])
    loss = logits_distillation(extreme.flip(1), extreme, 1.0, 1.0)
    assert loss.item() == pytest.approx(2e4)
    check_gradient(lambda s: logits_distillation(s, normal(1, 3, 4), 4.0, 1.5), normal(0, 3, 4))


@pytest.mark.parametrize("taus", [(0.0, 1.0), (1.0, -2.0), (float("nan"), 1.0), (1.0, math.inf)])
def test_logits_distillation_refuses_temperatures(taus):
    with pytest.raises(InputError, match=r"tau_(student|teacher) \S+ must be positive and finite"):
        logits_distillation(torch.zeros(2, 3), torch.zeros(2, 3), *taus)


def test_logits_distillation_refuses_to_broadcast():
    with pytest.raises(InputError, match=r"student \(2, 3\) and teacher \(1, 3\) do not match"):
        logits_distillation(torch.zeros(2, 3), torch.zeros(1, 3), 1.0, 1.0)


def test_synop_cost_by_hand():
    rates = [torch.tensor([[0.5, 0.0], [1.0, 0.5]]), torch.tensor([[[0.25]], [[0.75]]])]
    fan_outs = [torch.tensor([4.0, 2.0]), torch.tensor([[10.0]])]
    # 8 steps: sample 0 has 4 x 4 + 0 + 2 x 10 = 36, sample 1 has 8 x 4 + 4 x 2 + 6 x 10 = 100; mean 68
    assert synop_cost(rates, fan_outs, 8, reference=34.0).item() == 2.0
    # all neurons at every step: 8 x 16 = 128
    assert synop_cost(rates, fan_outs, 8).item() == pytest.approx(68 / 128)


def test_synop_cost_of_a_spike_is_its_fan_out():
    rates = [normal(0, 3, 2, 2).abs().requires_grad_(), normal(1, 3, 5).abs().requires_grad_()]
    fan_outs = [torch.arange(4.0).reshape(2, 2), torch.arange(5.0)]
    synop_cost(rates, fan_outs, 7, reference=100.0).backward()
    for rate, fan_out in zip(rates, fan_outs, strict=True):
        torch.testing.assert_close(rate.grad, (fan_out * 7 / 100 / 3).expand(rate.shape).double())
    check_gradient(lambda r: synop_cost([r], [fan_outs[1]], 7), normal(1, 3, 5))


@pytest.mark.parametrize(
    ("shapes", "fan_outs", "reference", "message"),
    [
        ([(2, 3)], [(2,)], None, r"layers of shapes \[\(3,\)\] with fan-outs of shapes \[\(2,\)\]"),
        ([(2, 3)], [], None, r"with fan-outs of shapes \[\]; give one each"),
        ([], [], None, "no spike reaches a synapse; set its weight to 0"),
        ([(2, 3)], [(3,)], 0.0, r"reference 0\.0 must be a positive number"),
    ],
)
def test_synop_cost_refuses(shapes, fan_outs, reference, message):
    with pytest.raises(InputError, match=message):
        synop_cost([torch.ones(s) for s in shapes], [torch.ones(s) for s in fan_outs], 4, reference)


def parts_of(*parts: list[int]) -> list[np.ndarray]:
    return [np.array(part) for part in parts]


def test_decorrelation_by_hand():
    x = torch.tensor([[1.0, 1, 0], [1, -1, 1], [-1, 1, 1], [-1, -1, 2]], dtype=torch.float64)
    # x0, x1 uncorrelated; x2 = 1 - (x0 + x1) / 2 has variance 1/2 and covariance -1/2 with both: c^2 = 1/2
    assert decorrelation(x, parts_of([0], [1], [2])).item() == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert decorrelation(x, parts_of([2, 0], [1])).item() == pytest.approx((0 + 0.5) / 2)
    assert decorrelation(x[:, :2], parts_of([0], [1])).item() == pytest.approx(0.0, abs=1e-12)
    assert decorrelation(torch.cat([x, -3 * x], 1), parts_of([0, 3], [1, 2, 4, 5])).item() == pytest.approx(
        0.25
    )


@given(seed=st.integers(0, 2**31), samples=st.integers(3, 30), features=st.integers(2, 8))
def test_decorrelation_equals_numpys_coefficients(seed, samples, features):
    x = normal(seed, samples, features) * torch.logspace(-1, 0.5, features, dtype=torch.float64) + 3
    cut = 1 + seed % (features - 1)
    parts = parts_of(list(range(cut)), list(range(cut, features)))
    between = np.corrcoef(x.numpy(), rowvar=False)[:cut, cut:]
    assert decorrelation(x, parts).item() == pytest.approx(np.square(between).mean(), rel=1e-6)


def test_decorrelation_within_a_part_is_free_and_dead_features_are_harmless():
    column = normal(0, 6, 1)
    same = torch.cat([column, column, torch.zeros(6, 1), 1e-9 * column], dim=1).requires_grad_()
    loss = decorrelation(same, parts_of([0, 1], [2, 3]))
    assert loss.item() < 1e-12
    loss.backward()
    assert same.grad.isfinite().all()
    assert decorrelation(torch.ones(5, 2), parts_of([0], [1])).item() == 0.0


def test_decorrelation_gradient():
    check_gradient(lambda x: decorrelation(x, parts_of([0, 3], [1, 2])), normal(0, 6, 4))


@pytest.mark.parametrize("parts", [[[0, 1, 2]], [[0, 1, 2], []]])
def test_decorrelation_needs_two_parts(parts):
    with pytest.raises(InputError, match="at least two parts; set its weight to 0"):
        decorrelation(torch.ones(3, 3), [np.array(part, dtype=np.int64) for part in parts])


@pytest.mark.parametrize("parts", [[[0], [1]], [[0, 1], [1, 2]], [[0, 1], [2, 3]]])
def test_decorrelation_refuses_what_is_no_partition(parts):
    with pytest.raises(InputError, match="do not hold each of 3 features once"):
        decorrelation(torch.ones(3, 3), parts_of(*parts))


def test_all_subsets_by_hand():
    assert all_subsets(2).int().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    with pytest.raises(InputError, match="gate: 13 students"):
        all_subsets(13)


def test_gate_activation_by_hand():
    gate = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/2
    losses = torch.tensor([[8.0, 4.0, 2.0, 0.0]])  # nobody, first, second, both
    # pi: 1/8, 3/8, 1/8, 3/8; expected loss 1 + 1.5 + 0.25; costs 1/4 and 3/4: 3/16 + 3/8
    expected = 2.75 + 0.5 * (3 / 16 + 3 / 8)
    assert gate_activation(gate, losses, torch.tensor([1.0, 3.0]), 0.5).item() == pytest.approx(expected)


@given(seed=st.integers(0, 2**31), students=st.integers(1, 5))
def test_gate_activation_is_the_expectation_over_all_subsets(seed, students):
    gate, losses = normal(seed, 3, students), normal(seed + 1, 3, 2**students)
    costs = normal(seed + 2, students).abs()
    p, total = gate.sigmoid(), 0.0
    for row, chosen in itertools.product(range(3), itertools.product((0, 1), repeat=students)):
        probability = math.prod(
            float(p[row, k]) if runs else 1 - float(p[row, k]) for k, runs in enumerate(chosen)
        )
        cost = sum(float(costs[k]) for k, runs in enumerate(chosen) if runs) / float(costs.sum())
        loss = float(losses[row, sum(runs << k for k, runs in enumerate(chosen))])
        total += probability * (loss + 0.3 * cost) / 3
    assert gate_activation(gate, losses, costs, 0.3).item() == pytest.approx(total, rel=1e-9, abs=1e-12)


def test_a_gate_that_follows_its_loss_activates_the_cheapest_subset_that_is_right():
    members = all_subsets(3)
    right = torch.zeros(4, 8, dtype=torch.bool)
    right[0] = members.any(1)  # any student is right
    right[1] = members[:, :2].all(1)
    right[2] = members.all(1)
    gate = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    costs = torch.tensor([2.0, 1.0, 4.0], dtype=torch.float64)
    for _ in range(400):
        (gradient,) = torch.autograd.grad(gate_activation(gate, 1.0 - right.double(), costs, 0.4), gate)
        with torch.no_grad():
            gate -= 8.0 * gradient
    expected = [[False, True, False], [True, True, False], [True, True, True], [False, False, False]]
    assert (gate > 0).tolist() == expected


def test_gate_activation_gradient_and_saturated_gates():
    costs = torch.tensor([1.0, 2.0], dtype=torch.float64)
    check_gradient(lambda g, loss: gate_activation(g, loss, costs, 0.7), normal(0, 3, 2), normal(1, 3, 4))
    certain = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = gate_activation(certain, torch.tensor([[5.0, 1.0, 6.0, 7.0]]), costs.float(), 0.3)
    loss.backward()
    assert loss.item() == pytest.approx(1.0 + 0.3 / 3)
    assert certain.grad.isfinite().all()


@pytest.mark.parametrize(
    ("losses", "costs", "weight", "message"),
    [
        ((2, 3), [1.0, 1.0], 0.1, r"expected \(N, K\), \(N, 2\^K\) and \(K,\)"),
        ((2, 4), [1.0], 0.1, r"expected \(N, K\), \(N, 2\^K\) and \(K,\)"),
        ((2, 4), [1.0, 1.0], -0.1, r"weight -0\.1 and costs \[1\.0, 1\.0\] must be >= 0"),
        ((2, 4), [0.0, 0.0], 0.1, "one cost above 0"),
    ],
)
def test_gate_activation_refuses(losses, costs, weight, message):
    with pytest.raises(InputError, match=message):
        gate_activation(torch.zeros(2, 2), torch.zeros(losses), torch.tensor(costs), weight)
