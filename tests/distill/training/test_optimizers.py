"""Optimisers: Lookahead against a plain computation of its equation, and interrupted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.teacher import TeacherModel
from sne_deploy.distill.teacher.architectures import WHITENED, teacher_network, whiten
from sne_deploy.distill.training.optimizers import (
    BIAS_RATE,
    EVERY,
    SLOWNESS,
    Lookahead,
    average_weights,
    make_optimizer,
)

STEPS, RATE, DECAY = 13, 0.1, 0.01


def gradient(weight: torch.Tensor, step: int) -> torch.Tensor:
    return (weight - step).sin()


def expected(start: torch.Tensor) -> torch.Tensor:
    """Nesterov's momentum and the slow weights, by hand."""
    fast, slow, velocity = start.clone(), start.clone(), torch.zeros_like(start)
    for step in range(1, STEPS + 1):
        slope = gradient(fast, step) + DECAY * fast
        velocity = 0.85 * velocity + slope
        fast = fast - RATE * (slope + 0.85 * velocity)
        if step == STEPS:
            return slow
        if step % EVERY == 0:
            kept = SLOWNESS * (step / STEPS) ** 3
            slow = kept * slow + (1 - kept) * fast
            fast = slow
    raise AssertionError("there is a last step")


def run(weight: nn.Parameter, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last + 1):
        weight.grad = gradient(weight.detach(), step)
        optimizer.step()


def lookahead(weight: nn.Parameter) -> Lookahead:
    return Lookahead([{"params": [weight], "weight_decay": DECAY}], RATE, STEPS)


def test_lookahead_is_its_equation() -> None:
    start = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = nn.Parameter(start.clone())
    run(weight, lookahead(weight), 1, STEPS)
    torch.testing.assert_close(weight.detach(), expected(start), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cut", [1, 4, 5, 7, 12])
def test_lookahead_goes_on_where_it_was_interrupted(cut: int) -> None:
    start = torch.randn(7, generator=torch.Generator().manual_seed(1))
    whole, parted = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    run(whole, lookahead(whole), 1, STEPS)
    before = lookahead(parted)
    run(parted, before, 1, cut)
    resumed = nn.Parameter(parted.detach().clone())
    after = lookahead(resumed)
    after.load_state_dict(before.state_dict())
    run(resumed, after, cut + 1, STEPS)
    assert torch.equal(whole, resumed)


def test_biases_of_fixed_norms_learn_faster() -> None:
    described = TeacherModel(architecture="airbench", width=4, features=6)
    network = teacher_network(described, (3, 16, 16), 10)
    groups = make_optimizer(network, Schedule(optimizer="lookahead"), 10).param_groups
    quick = next(group for group in groups if group["rate_factor"] == BIAS_RATE)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert [id(p) for p in quick["params"]] == [id(norm.bias) for norm in norms]
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in network.parameters() if p.requires_grad}
    assert not any(norm.weight.requires_grad for norm in norms)


def test_whitened_patches_are_uncorrelated() -> None:
    torch.manual_seed(2)
    mixed = torch.einsum("ij,njhw->nihw", torch.randn(3, 3), torch.rand(400, 3, 9, 9)) + 2
    made = whiten(teacher_network(TeacherModel(architecture="airbench", width=4), (3, 9, 9), 10), mixed)
    first = next(iter(made.features.children()))
    with torch.no_grad():
        outputs = first(mixed).transpose(0, 1).flatten(1).double()
    assert not any(parameter.requires_grad for parameter in first.parameters())
    torch.testing.assert_close(outputs[:WHITENED], -outputs[WHITENED:], rtol=1e-4, atol=1e-4)
    found = torch.cov(outputs[:WHITENED])
    torch.testing.assert_close(found, torch.eye(WHITENED).double(), rtol=0, atol=0.05)
    assert float(outputs.mean(dim=1).abs().max()) < 1e-3


def test_a_grey_image_is_refused() -> None:
    with pytest.raises(
        Exception, match=r"'airbench' takes images of three channels, not of shape \(1, 8, 8\)"
    ):
        teacher_network(TeacherModel(architecture="airbench"), (1, 8, 8), 10)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon", "lookahead"])
@pytest.mark.parametrize("cut", [3, 9, 12])
def test_the_last_weights_are_averaged_also_where_it_was_interrupted(optimizer: str, cut: int) -> None:
    """Half of 13 steps are 6: the mean of what the weights were after each of them."""

    def made(averaging: float) -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(4)
        module = nn.Linear(5, 3)
        schedule = Schedule(optimizer=optimizer, learning_rate=RATE, averaging=averaging)
        return module, make_optimizer(module, schedule, STEPS)

    def steps(module: nn.Linear, taken: torch.optim.Optimizer, first: int, last: int) -> list[torch.Tensor]:
        seen = []
        for step in range(first, last + 1):
            for parameter in module.parameters():
                parameter.grad = gradient(parameter.detach(), step)
            taken.step()
            if "averaged" in taken.param_groups[0]:
                average_weights(taken)
            seen.append(module.weight.detach().clone())
        return seen

    plain = steps(*made(0.0), 1, STEPS)
    module, taken = made(0.5)
    steps(module, taken, 1, cut)
    other, again = made(0.5)
    other.load_state_dict(module.state_dict())
    again.load_state_dict(taken.state_dict())
    last = steps(other, again, cut + 1, STEPS)
    torch.testing.assert_close(last[-1], torch.stack(plain[-6:]).mean(dim=0), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(last[-1], plain[-1], atol=1e-4)
