"""Weights as NIR's linear nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.recover_conv import conv_of
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

DENSE_LIMIT = 2**26
"""Largest number of weights of a sparse map that is written out in full: NIR has no sparse one."""


@dataclass(frozen=True, eq=False)
class LinearMap:
    """y = weights @ x + bias, from a node.

    Attributes
    ----------
    name, source : str
    weights : Weights, or CSR matrix of shape (n, n_in)
    bias : float64 array of shape (n,), or None
    delay_steps : int
        Steps by which x arrives later.
    """

    name: str
    source: str
    weights: Weights | sparse.csr_matrix
    bias: Array | None
    delay_steps: int

    def with_bias(self, extra: Array) -> LinearMap:
        """The same map with a bias added."""
        if not bool(np.any(extra)):
            return self
        return replace(self, bias=extra if self.bias is None else self.bias + extra)


def map_node(linear: LinearMap, in_shape: Shape, out_shape: Shape) -> Any:
    """The node of a map between nodes of these shapes; a matrix where it is nothing better.

    Raises
    ------
    GraphError
        It is sparse, and too large to be written out.
    """
    node = _shaped_node(linear, in_shape, out_shape)
    if node is not None:
        return node
    weights = linear.weights
    if isinstance(weights, DenseWeights):
        array = weights.array
    else:
        array = _written_out(linear.name, weights if sparse.issparse(weights) else weights.matrix())
    return nir.Linear(array) if linear.bias is None else nir.Affine(array, linear.bias)


def keeps_shape(linear: LinearMap, in_shape: Shape, out_shape: Shape) -> bool:
    """Whether a map gives values of this shape in NIR; a matrix gives a vector."""
    return len(out_shape) == 1 or _shaped_node(linear, in_shape, out_shape) is not None


def _shaped_node(linear: LinearMap, in_shape: Shape, out_shape: Shape) -> Any:
    """A convolution or a scale; None where it is neither."""
    weights = linear.weights
    if sparse.issparse(weights):
        weights = conv_of(weights, in_shape, out_shape) or SparseWeights(sparse.csr_matrix(weights))
    if isinstance(weights, ConvWeights):
        bias = _channel_bias(linear, weights)
        return (
            _conv_node(weights, bias, in_shape)
            if bias is not None and _fits(weights, in_shape, out_shape)
            else None
        )
    if isinstance(weights, SparseWeights) and linear.bias is None and in_shape == out_shape:
        coo = weights.csr.tocoo()
        if bool(np.array_equal(coo.row, coo.col)):
            return nir.Scale(weights.csr.diagonal().reshape(in_shape))
    return None


def _written_out(name: str, matrix: Any) -> Array:
    rows, columns = matrix.shape
    if rows * columns > DENSE_LIMIT:
        raise GraphError(
            f"map {name!r} of {rows} x {columns} weights is sparse, and NIR has no such node; written out, "
            f"it would exceed {DENSE_LIMIT} weights"
        )
    return np.asarray(matrix.toarray(), dtype=np.float64)


def _fits(conv: ConvWeights, in_shape: Shape, out_shape: Shape) -> bool:
    """Whether a convolution is one of these maps, (c, h, w) or (c, length)."""
    conv_in, conv_out = conv.in_shape, conv.out_shape
    if len(in_shape) == 2 and conv.kernel.shape[2] == 1 and conv_in[1] == conv_out[1] == 1:
        return (in_shape, out_shape) == ((conv_in[0], conv_in[2]), (conv_out[0], conv_out[2]))
    return (in_shape, out_shape) == (conv_in, conv_out)


def _channel_bias(linear: LinearMap, conv: ConvWeights) -> Array | None:
    """One bias per output channel; None where it differs within one."""
    channels = conv.out_shape[0]
    if linear.bias is None:
        return np.zeros(channels)
    by_channel = linear.bias.reshape(channels, -1)
    return by_channel[:, 0].copy() if bool(np.all(by_channel == by_channel[:, :1])) else None


def _conv_node(conv: ConvWeights, bias: Array, in_shape: Shape) -> Any:
    if len(in_shape) == 2:
        stride, padding, dilation = conv.stride[1], conv.padding[1], conv.dilation[1]
        return nir.Conv1d(in_shape[1], conv.kernel[:, :, 0], stride, padding, dilation, conv.groups, bias)
    windows = conv.stride, conv.padding, conv.dilation
    return nir.Conv2d(in_shape[1:], conv.kernel, *windows, conv.groups, bias)
