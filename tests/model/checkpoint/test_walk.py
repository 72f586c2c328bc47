"""The walk over what torch returned, alone: it does not rely on the checks before it."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint.walk import to_plain


def shared(depth, kind):
    nest = kind()
    for _ in range(depth):
        nest = kind((nest, nest))
    return nest


def deep(depth):
    nest = []
    for _ in range(depth):
        nest = [nest]
    return nest


def loop():
    nest = {}
    nest["self"] = nest
    return nest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (shared(15, list), "holds a container that appears twice"),
        (shared(15, tuple), "holds a container that appears twice"),
        (loop(), "self holds a container that appears twice"),
        (deep(10_000), "nested deeper than 16"),
        ([0] * 500_001, "expands to more than 500000 values"),
        ({1: 2}, "has a key that is not text"),
        ("x" * (2**20 + 1), "is a text of 1048577 characters, limit 1048576"),
        (OrderedDict(), "is of type OrderedDict, not plain data"),
        ({1, 2}, "is of type set"),
        (b"x", "is of type bytes"),
        (1j, "is of type complex"),
        (torch.nn.Parameter(torch.zeros(2)), "is of type Parameter"),
        (torch.zeros(2, requires_grad=True), "is not a plain tensor on the CPU"),
        (torch.zeros(2, 2).to_sparse(), "is not a plain tensor on the CPU"),
        (torch.zeros(2, device="meta"), "is not a plain tensor on the CPU"),
        (torch.zeros(2, dtype=torch.complex64), "has dtype complex64"),
        (torch.zeros(2, dtype=torch.complex64).conj(), "is not a plain tensor on the CPU"),
        (torch.zeros(2, dtype=torch.bfloat16), "has dtype bfloat16"),
        (torch.zeros(1).expand(10**12), r"shape \[1000000000000\], which its storage does not hold"),
        (torch.zeros(2, 3).T, "which its storage does not hold"),
        (torch.zeros([1] * 9), "which its storage does not hold"),
    ],
)
def test_what_is_not_plain_is_refused(value, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        to_plain("file", {"outer": value})
    assert "\n" not in str(caught.value)


def test_plain_values_keep_type_order_and_memory():
    tensor = torch.arange(4.0)
    value = {"b": [1, 2.5, None, True, "x"], "a": (), "t": tensor}
    plain = to_plain("file", value)
    assert list(plain) == ["b", "a", "t"]
    assert plain["b"] == [1, 2.5, None, True, "x"]
    assert type(plain["b"][3]) is bool
    assert np.array_equal(plain["t"], [0, 1, 2, 3])
    assert np.shares_memory(plain["t"], tensor.numpy())
    assert not plain["t"].flags.writeable
