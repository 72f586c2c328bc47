"""A convolution's matrix is what torch computes, borders and all."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights


@st.composite
def convolutions(draw: st.DrawFn) -> ConvWeights:
    """Random convolutions whose output is not empty, with some zero taps."""
    groups = draw(st.integers(1, 2))
    c_in, c_out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    size = (draw(st.integers(5, 8)), draw(st.integers(5, 7)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(-4, 5, (c_out, c_in // groups, *kernel)).astype(np.float64)
    out = [(size[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) // stride[d] + 1 for d in (0, 1)]
    return ConvWeights(values, (c_in, *size), (c_out, out[0], out[1]), stride, padding, dilation, groups)


def torch_convolution(conv: ConvWeights, x: np.ndarray) -> np.ndarray:
    """The same map by torch, on one flat input."""
    result = torch.nn.functional.conv2d(
        torch.as_tensor(x.reshape(1, *conv.in_shape)),
        torch.as_tensor(conv.kernel),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
    )
    return result.numpy().reshape(-1)


@settings(max_examples=100, deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_matrix_is_torchs_convolution(conv: ConvWeights, seed: int) -> None:
    x = np.random.default_rng(seed).integers(-3, 4, conv.shape[1]).astype(np.float64)
    np.testing.assert_array_equal(conv.matrix() @ x, torch_convolution(conv, x))


@settings(max_examples=50, deadline=None)
@given(convolutions())
def test_only_existing_synapses_are_stored(conv: ConvWeights) -> None:
    matrix = conv.matrix()
    assert np.all(matrix.data != 0)
    existing = conv.with_values((conv.kernel != 0).astype(np.float64))
    assert matrix.nnz == torch_convolution(existing, np.ones(conv.shape[1])).sum()


@settings(max_examples=50, deadline=None)
@given(convolutions())
def test_every_tap_is_used_once_per_output_inside_the_border(conv: ConvWeights) -> None:
    ones = conv.with_values(np.ones_like(conv.kernel))
    x = np.ones(conv.shape[1])
    np.testing.assert_array_equal(np.diff(ones.matrix().indptr), torch_convolution(ones, x))


def test_matrix_does_not_change_its_weights() -> None:
    from scipy import sparse

    csr = sparse.csr_matrix((np.array([0.0, 2.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    weights = SparseWeights(csr)
    assert weights.matrix().nnz == 1
    assert weights.csr.nnz == 2


def test_dense_zeros_are_no_synapses() -> None:
    assert DenseWeights(np.array([[1, 0], [0, 0]])).matrix().nnz == 1


@settings(max_examples=100, deadline=None)
@given(convolutions())
def test_input_range_is_that_of_the_matrix_in_every_form(conv: ConvWeights) -> None:
    matrix = conv.matrix()
    array = matrix.toarray()
    lowest, highest = np.minimum(array, 0).sum(axis=1), np.maximum(array, 0).sum(axis=1)
    for weights in (conv, DenseWeights(array), SparseWeights(matrix)):
        low, high = weights.input_range()
        np.testing.assert_array_equal(low, lowest)
        np.testing.assert_array_equal(high, highest)
