"""Losses against values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.losses import cross_entropy, feature_distillation, spike_rate
from sne_deploy.errors import InputError


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


@given(seed=st.integers(0, 2**31), rows=st.integers(1, 7), classes=st.integers(2, 9))
def test_cross_entropy_equals_torchs(seed, rows, classes):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64) * 30
    labels = torch.randint(classes, (rows,), generator=generator)
    theirs = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(cross_entropy(logits, labels), theirs, rtol=1e-12, atol=1e-12)


def test_spike_rate_by_hand():
    rates = [torch.tensor([[0.0, 0.4]]), torch.tensor([0.5, 0.3])]
    # layer means 0.2 and 0.4; distances to 0.1 are 0.1 and 0.3; (0.01 + 0.09) / 2
    assert spike_rate(rates, 0.1).item() == pytest.approx(0.05, rel=1e-6)


def test_spike_rate_pushes_a_busy_layer_down_and_a_silent_one_up():
    busy, silent = torch.full((4,), 0.9, requires_grad=True), torch.zeros(4, requires_grad=True)
    spike_rate([busy, silent], 0.2).backward()
    assert (busy.grad > 0).all()
    assert (silent.grad < 0).all()


def test_spike_rate_needs_a_spiking_layer():
    with pytest.raises(InputError, match="no spiking layer; set its weight to 0"):
        spike_rate([], 0.1)
