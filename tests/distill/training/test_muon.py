"""Muon: orthogonal updates, the rest AdamW's, and interrupted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.training.muon import MOMENTUM, RMS, orthogonal
from sne_deploy.distill.training.optimizers import make_optimizer

SCHEDULE = Schedule(optimizer="muon", learning_rate=0.01, weight_decay=0.1)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 4, 40))


def gradients(made: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in made.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(6, 6), (4, 30), (30, 4)])
def test_an_orthogonal_matrix_has_the_same_directions(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonal(1e3 * matrix) @ right.T
    values = torch.diagonal(found)
    torch.testing.assert_close(found, torch.diag(values), rtol=0, atol=1e-9)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.25


def test_steps_by_hand() -> None:
    made, plain = network(), network()
    optimizer = make_optimizer(made, SCHEDULE, 2)
    others = torch.optim.AdamW([p for p in plain.parameters() if p.ndim == 1], lr=0.01, weight_decay=0.0)
    momentum = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    for step in range(2):
        gradients(made, step)
        gradients(plain, step)
        optimizer.step()
        others.step()
        with torch.no_grad():
            for name, p in plain.named_parameters():
                if p.ndim > 1 and p.grad is not None:
                    momentum[name] = MOMENTUM * momentum[name] + (1 - MOMENTUM) * p.grad
                    mixed = ((1 - MOMENTUM) * p.grad + MOMENTUM * momentum[name]).flatten(1)
                    size = RMS * max(mixed.shape) ** 0.5
                    p.copy_(p * (1 - 0.01 * 0.1) - 0.01 * size * orthogonal(mixed).reshape(p.shape))
    for ours, wanted in zip(made.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)


def test_it_goes_on_where_it_was_interrupted() -> None:
    whole, parted = network(), network()
    optimizer, before = (make_optimizer(one, SCHEDULE, 4) for one in (whole, parted))
    for step in range(4):
        gradients(whole, step)
        optimizer.step()
    for step in range(2):
        gradients(parted, step)
        before.step()
    after = make_optimizer(parted, SCHEDULE, 4)
    after.load_state_dict(before.state_dict())
    for step in range(2, 4):
        gradients(parted, step)
        after.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parted.parameters(), strict=True))
