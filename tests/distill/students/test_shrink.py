"""A student without the neurons that reach nothing gives the same outputs, with fewer neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.pruning import prunable
from sne_deploy.distill.students.shrink import hidden_groups, shrunk
from sne_deploy.distill.students.simulate import simulate
from tests.effort import examples

CELL, NORM = {"kind": "LIFBoxCell", "v_th": 0.3}, {"kind": "BatchNorm2d"}


def student(pool: bool) -> nn.Sequential:
    layers: list[dict[str, Any]] = [
        {"kind": "Conv2d", "out": 5, "padding": 1},
        NORM,
        CELL,
        *([{"kind": "AvgPool2d"}] if pool else []),
        {"kind": "Conv2d", "out": 6, "bias": False},
        NORM,
        CELL,
        {"kind": "Flatten"},
        {"kind": "Linear", "out": 7},
        {"kind": "BatchNorm1d"},
        CELL,
        {"kind": "Linear"},
        {"kind": "LIBoxCell"},
    ]
    network = student_network([LayerModel.model_validate(one) for one in layers], (2, 8, 8), 3, 1e-3)
    for layer in network:
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(layer.weight, 0.5, 2.0)
            nn.init.uniform_(layer.bias, -1.0, 1.0)
    return network


@settings(max_examples=examples(5))
@given(st.integers(0, 2**31), st.booleans(), st.floats(0.2, 1.0))
def test_what_is_left_gives_the_same_outputs_and_spikes(seed: int, pool: bool, share: float) -> None:
    torch.manual_seed(seed)
    network = student(pool).eval()
    sizes, idle = (5, 6, 7), []
    with torch.no_grad():
        for one, channels in zip(prunable(network)[1:], sizes, strict=True):
            gone = torch.rand(channels) < share
            one.weight.view(len(one.weight), channels, -1)[:, gone] = 0.0
            idle.append(gone)
        inputs = torch.rand(4, 2, 8, 8) * 5
        before = simulate(network, inputs, 4, "v_mean")
        smaller = shrunk(network)
        after = simulate(smaller, inputs, 4, "v_mean")
    torch.testing.assert_close(after.outputs, before.outputs, rtol=1e-5, atol=1e-6)
    left = [max(1, int((~gone).sum())) for gone in idle]
    assert [rate.shape[1] for rate in after.rates] == left
    assert any(gone.any() for gone in idle) != (smaller is network)
    for now, was, gone in zip(after.rates, before.rates, idle, strict=True):
        if not gone.all():
            np.testing.assert_array_equal(now.numpy(), was[:, ~gone].numpy())


@pytest.mark.parametrize("gone", [[0, 1], [1, 2], [1]])
def test_channels_of_a_grouped_skip_stay_in_their_groups(gone: list[int]) -> None:
    conv = {"kind": "Conv2d", "out": 4, "padding": 1}
    layers: list[dict[str, Any]] = [
        *(conv, CELL, conv, CELL, conv),
        {"kind": "SkipConv2d", "over": 1, "groups": 2},
        *(CELL, {"kind": "Flatten"}, {"kind": "Linear"}, {"kind": "LIBoxCell"}),
    ]
    torch.manual_seed(1)
    network = student_network([LayerModel.model_validate(one) for one in layers], (1, 4, 4), 3, 1e-3).eval()
    with torch.no_grad():
        for one in prunable(network):
            one.weight.mul_(3.0)
        prunable(network)[-1].weight.view(3, 4, -1)[:, gone] = 0.0
        inputs = torch.rand(8, 1, 4, 4)
        before = simulate(network, inputs, 3, "v_mean").outputs
        after = simulate(shrunk(network), inputs, 3, "v_mean").outputs
    assert before.abs().max() > 0.1
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kinds", "groups", "positions"),
    [
        (["Conv2d", "LIFBoxCell", "Conv2d", "Conv2d", "LIFBoxCell", "Linear"], [1] * 6, [(0, 2), (3, 5)]),
        (["Conv2d", "LIFBoxCell", "Conv2d", "LIFBoxCell", "Linear"], [1, 1, 2, 1, 1], []),
        (["Conv2d", "Flatten", "LIFBoxCell", "Linear"], [1] * 4, []),
        (["Linear", "LIFRecurrentCell", "Linear", "LIFCell", "Linear"], [1] * 5, [(2, 4)]),
        (["Linear", "LIFCell", "LIFCell", "Linear"], [1] * 4, []),
        (["LIFCell", "Linear", "LIFCell", "Linear"], [1] * 4, [(1, 3)]),
    ],
)
def test_only_neurons_between_two_maps_may_go(
    kinds: list[str], groups: list[int], positions: list[tuple[int, int]]
) -> None:
    assert [(one.before, one.after) for one in hidden_groups(kinds, groups)] == positions
