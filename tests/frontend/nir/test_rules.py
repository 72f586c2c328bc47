"""What enters a node and does not fit it, by name; and sizes, against PyTorch."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.shapes import output_shape_of
from tests.effort import examples
from tests.frontend.nir.test_input_shapes import chain, shape


def conv(**changes: Any) -> nir.Conv2d:
    fields = {
        "input_shape": None,
        "weight": np.ones((4, 2, 3, 3)),
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": np.zeros(4),
    }
    return nir.Conv2d(**{**fields, **changes})


def with_field(node: Any, field: str, value: Any) -> Any:
    setattr(node, field, value)
    return node


REFUSED = {
    "stacked": (nir.Linear(np.ones((2, 3, 4))), (2, 4), "weight has shape (2, 3, 4), must be a matrix"),
    "offset": (
        nir.Affine(np.ones((3, 4)), np.ones(4)),
        (4,),
        "bias has shape (4,), weight (3, 4) needs (3,)",
    ),
    "axes": (conv(weight=np.ones((4, 2, 3))), (2, 5, 5), "weight has shape (4, 2, 3), must have 4 axes"),
    "channels": (conv(), (3, 5, 5), "gets shape (3, 5, 5), weight (4, 2, 3, 3) with 1 groups needs 2"),
    "groups": (conv(groups=3), (6, 5, 5), "3 groups do not divide the 4 output channels"),
    "bias": (conv(bias=np.zeros(3)), (2, 5, 5), "bias has shape (3,), weight (4, 2, 3, 3) needs (4,)"),
    "kernel": (conv(), (2, 2, 5), "a kernel of (3, 3) does not fit an input of shape (2, 2, 5)"),
    "stride": (conv(stride=(1, 0)), (2, 5, 5), "(1, 0) must be at least 1"),
    "three strides": (conv(stride=(1, 1, 1)), (2, 5, 5), "(1, 1, 1) must be 1 or 2 ints"),
    "padding": (conv(padding=(-1, 0)), (2, 5, 5), "(-1, 0) must be at least 0"),
    "same": (conv(padding="same", stride=2), (2, 5, 5), "'same' with stride (2, 2) is not defined; give"),
    "wide": (
        conv(weight=np.ones((4, 2, 2, 3)), padding="same", dilation=(2**30 + 1, 1)),
        (2, 5, 5),
        "kernel (4, 2, 1073741827, 3) has more than 16777216 values, the limit",
    ),
    "name": (with_field(conv(), "padding", "full"), (2, 5, 5), "padding 'full' is not one of same, valid"),
    "pool": (nir.SumPool2d(2, 2, 0), (4, 4), "gets shape (4, 4), needs (channels, height, width)"),
    "pool that does not fit": (nir.AvgPool2d(5, 1, 0), (1, 4, 4), "a kernel of (5, 5) does not fit"),
    "flatten": (nir.Flatten(None, 2, 1), (1, 4, 4), "start_dim=2 to end_dim=1 are not axes of shape (1, 4"),
    "size": (nir.Input(None), (2**13, 2**13), "has more than 16777216 values, the limit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(case: str) -> None:
    node, entering, text = REFUSED[case]
    with pytest.raises(GraphError) as error:
        output_shape_of("n", node, entering)
    assert str(error.value).startswith(f"node 'n' ({type(node).__name__}): ")
    assert text in str(error.value)


WINDOWS = st.tuples(*(st.tuples(st.integers(1, 3), st.integers(1, 3)) for _ in range(3)), st.tuples(
    st.integers(0, 2), st.integers(0, 2)
))  # fmt: skip


@settings(max_examples=examples(100))
@given(WINDOWS, st.sampled_from([1, 2]), st.tuples(st.integers(3, 9), st.integers(3, 9)))
def test_sizes_are_those_of_pytorch(window: Any, groups: int, sizes: tuple[int, int]) -> None:
    kernel, stride, dilation, padding = window
    weight = torch.zeros(4, 2, *kernel)
    node = conv(weight=weight.numpy(), stride=stride, dilation=dilation, padding=padding, groups=groups)
    x = torch.zeros(1, 2 * groups, *sizes)
    try:
        expected = torch.nn.functional.conv2d(x, weight, None, stride, padding, dilation, groups).shape[1:]
    except RuntimeError:
        with pytest.raises(GraphError, match="does not fit"):
            output_shape_of("n", node, tuple(x.shape[1:]))
    else:
        assert output_shape_of("n", node, tuple(x.shape[1:])) == tuple(expected)
    if max(k - 2 * p for k, p in zip(kernel, padding, strict=True)) <= 0 or min(sizes) < max(kernel):
        return
    if all(2 * p <= k for k, p in zip(kernel, padding, strict=True)):
        pooled = torch.nn.functional.avg_pool2d(x, kernel, stride, padding).shape[1:]
        pool = nir.AvgPool2d(np.array(kernel), np.array(stride), np.array(padding))
        assert output_shape_of("n", pool, tuple(x.shape[1:])) == tuple(pooled)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=examples(60))
@given(st.tuples(st.integers(1, 4), st.integers(1, 4)), st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_same_is_pytorchs_also_where_it_pads_the_end_more(kernel: Any, dilation: Any) -> None:
    generator = np.random.default_rng(0)
    weight, x = generator.normal(size=(4, 2, *kernel)), torch.tensor(generator.normal(size=(1, 2, 6, 7)))
    node = conv(weight=weight, padding="same", dilation=dilation)
    expected = torch.nn.functional.conv2d(x, torch.tensor(weight), None, 1, "same", dilation)
    made = normalise(chain(node, enters=shape(2, 6, 7))).nodes["n0"]
    assert tuple(made.output_type["output"]) == tuple(expected.shape[1:]) == (4, 6, 7)
    assert np.count_nonzero(made.weight) == weight.size
    result = torch.nn.functional.conv2d(
        x, torch.tensor(made.weight), None, made.stride, made.padding, made.dilation
    )
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


def test_same_in_one_dimension() -> None:
    weight = np.array([[[1.0, 10.0]]])
    node = nir.Conv1d(None, weight, 1, "same", 1, 1, np.zeros(1))
    made = normalise(chain(node, enters=shape(1, 4))).nodes["n0"]
    assert (made.weight.tolist(), made.padding) == ([[[0.0, 1.0, 10.0]]], 1)
    assert node.weight is weight
    assert node.padding == "same"
