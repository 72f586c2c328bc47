"""Composing two maps gives their product, as a convolution only where that is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights
from sne_deploy.passes.compose_linear import compose


def _conv(
    rng: np.random.Generator,
    in_shape: tuple[int, int, int],
    c_out: int,
    k: int,
    s: int,
    p: int,
    d: int,
    g: int,
) -> ConvWeights:
    out = [(size + 2 * p - d * (k - 1) - 1) // s + 1 for size in in_shape[1:]]
    kernel = rng.normal(size=(c_out, in_shape[0] // g, k, k))
    return ConvWeights(kernel, in_shape, (c_out, out[0], out[1]), (s, s), (p, p), (d, d), g)


def _pool(in_shape: tuple[int, int, int], k: int, s: int) -> ConvWeights:
    out = [(size - k) // s + 1 for size in in_shape[1:]]
    kernel = np.full((in_shape[0], 1, k, k), 1 / k**2)
    return ConvWeights(kernel, in_shape, (in_shape[0], out[0], out[1]), (s, s), groups=in_shape[0])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Weights, Weights]:
    """(outer, inner) that fit each other, of every form."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    g = draw(st.sampled_from([1, 2]))
    inner_conv = _conv(
        rng, (2, 9, 8), 4, draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 2)), 1, g
    )
    inner: Weights = draw(st.sampled_from([inner_conv, _pool((4, 8, 7), 2, draw(st.integers(1, 2)))]))
    assert isinstance(inner, ConvWeights)
    outer = draw(
        st.sampled_from(
            [
                _conv(rng, inner.out_shape, 4, 2, draw(st.integers(1, 2)), draw(st.integers(0, 1)), 1, g),
                _pool(inner.out_shape, 2, 2),
                DenseWeights(rng.normal(size=(3, inner.shape[0]))),
                SparseWeights(sparse.random(5, inner.shape[0], 0.3, format="csr", random_state=1)),
            ]
        )
    )
    return outer, inner


@settings(max_examples=150, deadline=None)
@given(pairs())
def test_composition_is_the_product(pair: tuple[Weights, Weights]) -> None:
    outer, inner = pair
    product = (outer.matrix() @ inner.matrix()).toarray()
    np.testing.assert_allclose(compose(outer, inner).matrix().toarray(), product, rtol=0, atol=1e-12)


@pytest.mark.parametrize("padding", [0, 1])
def test_convolution_after_a_fitting_pool_stays_a_convolution(padding: int) -> None:
    rng = np.random.default_rng(0)
    pool = _pool((3, 8, 8), 2, 2)
    composed = compose(_conv(rng, pool.out_shape, 5, 3, 1, padding, 1, 1), pool)
    assert isinstance(composed, ConvWeights)
    assert composed.kernel.shape == (5, 3, 6, 6)
    assert composed.stride == (2, 2)
    assert composed.padding == (2 * padding, 2 * padding)


def test_pool_after_a_convolution_stays_a_convolution_with_its_groups() -> None:
    rng = np.random.default_rng(0)
    conv = _conv(rng, (4, 8, 8), 6, 3, 1, 1, 1, 2)
    composed = compose(_pool(conv.out_shape, 2, 2), conv)
    assert isinstance(composed, ConvWeights)
    assert composed.groups == 2


def test_a_border_that_a_convolution_cannot_express_becomes_sparse() -> None:
    rng = np.random.default_rng(0)
    inner = _conv(rng, (1, 6, 6), 2, 3, 1, 1, 1, 1)
    outer = _conv(rng, inner.out_shape, 2, 3, 1, 1, 1, 1)
    assert isinstance(compose(outer, inner), SparseWeights)


def test_a_pool_that_drops_a_row_is_not_padded_back() -> None:
    rng = np.random.default_rng(0)
    pool = _pool((1, 7, 7), 2, 2)
    outer = _conv(rng, pool.out_shape, 1, 3, 1, 1, 1, 1)
    composed = compose(outer, pool)
    assert isinstance(composed, SparseWeights)
    np.testing.assert_allclose(composed.matrix().toarray(), (outer.matrix() @ pool.matrix()).toarray())
