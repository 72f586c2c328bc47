"""A layer's keys: what a pool's mean to torch, what they become on the chip, and those without a use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sne_deploy as sne
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.students.networks import student_network
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Encoder, Ensemble, Head, Student

CELL: dict[str, Any] = {"kind": "LIFBoxCell", "v_th": 0.3}


def pooled(**keys: int) -> nn.Sequential:
    layers: list[dict[str, Any]] = [
        *({"kind": "Conv2d", "out": 2, "padding": 1}, CELL, {"kind": "AvgPool2d", **keys}),
        *({"kind": "Conv2d", "out": 3, "padding": 1}, CELL),
        *({"kind": "Flatten"}, {"kind": "Linear"}, {"kind": "LIBoxCell"}),
    ]
    torch.manual_seed(0)
    made = student_network([LayerModel.model_validate(one) for one in layers], (1, 8, 8), 3, 1e-3)
    with torch.no_grad():
        for one in made:
            if isinstance(one, (nn.Conv2d, nn.Linear)):
                one.weight.mul_(3.0)
    return made.eval()


@pytest.mark.parametrize(
    ("keys", "torchs"),
    [
        ({}, nn.AvgPool2d(2)),
        ({"kernel": 3}, nn.AvgPool2d(3)),
        ({"kernel": 3, "stride": 1}, nn.AvgPool2d(3, 1)),
        ({"kernel": 3, "stride": 2, "padding": 1}, nn.AvgPool2d(3, 2, 1)),
        ({"stride": 3}, nn.AvgPool2d(2, 3)),
    ],
)
def test_a_pool_is_torchs(keys: dict[str, int], torchs: nn.Module) -> None:
    x = torch.rand(2, 2, 8, 8)
    assert torch.equal(pooled(**keys)[2](x), torchs(x))
    layer = LayerModel.model_validate({"kind": "AvgPool2d", **keys})
    assert LayerModel.model_validate(layer.model_dump()) == layer


def test_a_pools_stride_and_padding_reach_the_chip() -> None:
    student = Student("s", layers_from_module(pooled(kernel=3, stride=2, padding=1)), "v_mean")
    model = Ensemble((student,), (1, 8, 8), 4, Encoder("constant"), Head("mean"))
    x = np.random.default_rng(0).random((6, 1, 8, 8))
    (integers,) = sne.compile(model, target="loihi").run(x).students
    (reals,) = sne.compile(model, target="norse").run(x).students
    assert integers.trace.synops.sum() > 0
    np.testing.assert_allclose(integers.outputs, reals.outputs, atol=0.1 * np.abs(reals.outputs).max())


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("Linear", "kernel", 3),
        ("Linear", "p", 0.5),
        ("Conv2d", "v_th", 0.5),
        ("AvgPool2d", "out", 4),
        ("AvgPool2d", "groups", 2),
        ("BatchNorm2d", "out", 4),
        ("BatchNorm1d", "bias", False),
        ("Flatten", "stride", 2),
        ("Dropout", "padding", 1),
        ("LIFBoxCell", "tau_syn_s", 1e-2),
        ("LIFBoxCell", "out", 4),
        ("LIBoxCell", "v_th", 0.5),
        ("LIFCell", "bias", False),
    ],
)
def test_a_key_without_a_use_is_refused(kind: str, key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{key} has no use in {kind}: leave it out"):
        LayerModel.model_validate({"kind": kind, key: value})


def test_a_skips_keys_are_its_own() -> None:
    with pytest.raises(ValueError, match="bias has no use in SkipLinear: leave it out"):
        LayerModel(kind="SkipLinear", over=1, bias=False)
    assert LayerModel(kind="SkipConv2d", over=1, stride=2, groups=2).groups == 2
    assert LayerModel(kind="LIFRecurrentCell", out=4, tau_syn_s=1e-2).out == 4
