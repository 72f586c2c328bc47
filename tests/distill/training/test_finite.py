"""Losses of an epoch: means to the bit, and the first step that was not finite, whenever it is asked for."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.training import loop
from sne_deploy.distill.training.finite import Losses
from sne_deploy.distill.training.loop import Training, fit
from sne_deploy.errors import RunError
from tests.effort import examples

NUMBERS = st.floats(-1e6, 1e6, width=32)
ANY = st.one_of(NUMBERS, st.sampled_from([math.nan, math.inf, -math.inf]))


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(1, 64)), min_size=1, max_size=9))
def test_means_are_those_of_python_s_numbers(steps: list[tuple[float, float, int]]) -> None:
    losses, rows = Losses("rate 1"), sum(count for *_, count in steps)
    expected = {"a": 0.0, "b": 0.0}
    for a, b, count in steps:
        losses.add({"a": torch.tensor(a), "b": torch.tensor(b)}, torch.tensor(1.0), count / rows)
        expected = {"a": expected["a"] + a * (count / rows), "b": expected["b"] + b * (count / rows)}
    losses.check()
    assert losses.means() == expected


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=9))
def test_the_first_step_that_is_not_finite_is_told_whenever_one_asks(
    steps: list[tuple[float, float, float]],
) -> None:
    late, wanted = Losses("rate 1"), None
    for a, b, norm in steps:
        early = Losses("rate 1")
        for losses in (early, late):
            losses.add({"a": torch.tensor(a), "b": torch.tensor(b)}, torch.tensor(norm), 1.0)
        if wanted is None and not math.isfinite(a + b + norm):
            with pytest.raises(RunError) as told:
                early.check()
            wanted = str(told.value)
            what = f"gradient of norm {norm}" if math.isfinite(a + b) else f"loss a {a:g}, b {b:g}"
            assert wanted == f"training diverged: {what}; lower rate 1"
    if wanted is None:
        late.check()
    else:
        with pytest.raises(RunError) as told:
            late.check()
        assert str(told.value) == wanted


def test_a_training_that_is_asked_late_is_the_same_and_fails_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))

    def trained(x: torch.Tensor) -> tuple[torch.Tensor, object]:
        schedule = Schedule(epochs=2, batch_size=4, learning_rate=0.1)
        objective = lambda module, batch: {"l": module(batch[0]).square().mean()}  # noqa: E731
        done = fit(lambda: nn.Linear(3, 1), [x], objective, Training(schedule))
        return done.module.weight.detach(), done.log

    weight, log = trained(x)
    broken = x.clone()
    broken[17] = math.inf
    with pytest.raises(RunError) as told:
        trained(broken)
    monkeypatch.setattr(loop, "asked_every", lambda _: 7)
    later, same = trained(x)
    assert torch.equal(weight, later)
    assert log == same
    with pytest.raises(RunError) as told_late:
        trained(broken)
    assert str(told.value) == str(told_late.value)
