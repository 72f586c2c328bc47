"""NIR's linear maps as weights on flat vectors: y = weights @ x + bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.frontend.nir.windows import conv_node_geometry
from sne_deploy.ir.network import LinearNode
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def _affine(name: str, node: nir.Affine, _in_shape: Shape, _out_shape: Shape) -> LinearNode:
    weights = DenseWeights(np.asarray(node.weight, dtype=np.float64))
    return LinearNode(name, weights, np.asarray(node.bias, dtype=np.float64).reshape(-1))


def _linear(name: str, node: nir.Linear, _in_shape: Shape, _out_shape: Shape) -> LinearNode:
    return LinearNode(name, DenseWeights(np.asarray(node.weight, dtype=np.float64)), None)


def _scale(name: str, node: nir.Scale, in_shape: Shape, _out_shape: Shape) -> LinearNode:
    diagonal = np.broadcast_to(np.asarray(node.scale, dtype=np.float64), in_shape).reshape(-1)
    return LinearNode(name, SparseWeights(sparse.csr_matrix(sparse.diags(diagonal))), None)


def _pair(value: Any) -> tuple[int, int]:
    flat = np.asarray(value).reshape(-1)
    return (int(flat[0]), int(flat[-1]))


def _conv(name: str, node: nir.Conv1d | nir.Conv2d, in_shape: Shape, out_shape: Shape) -> LinearNode:
    """A convolution of one dimension is one of two with height 1."""
    stride, padding, dilation, groups = conv_node_geometry(node)
    flat = isinstance(node, nir.Conv1d)
    kernel = np.asarray(node.weight, dtype=np.float64)
    weights = ConvWeights(
        kernel=kernel[:, :, None, :] if flat else kernel,
        in_shape=_map_shape(in_shape),
        out_shape=_map_shape(out_shape),
        stride=(1, stride[0]) if flat else _pair(stride),
        padding=(0, padding[0]) if flat else _pair(padding),
        dilation=(1, dilation[0]) if flat else _pair(dilation),
        groups=groups,
    )
    bias = np.asarray(node.bias, dtype=np.float64).reshape(-1)
    return LinearNode(name, weights, np.repeat(bias, int(np.prod(out_shape[1:]))))


def _map_shape(shape: Shape) -> tuple[int, int, int]:
    return (shape[0], shape[1] if len(shape) == 3 else 1, shape[-1])


def _pool(name: str, node: nir.AvgPool2d | nir.SumPool2d, in_shape: Shape, out_shape: Shape) -> LinearNode:
    kernel_size = _pair(node.kernel_size)
    tap = 1.0 / (kernel_size[0] * kernel_size[1]) if isinstance(node, nir.AvgPool2d) else 1.0
    weights = ConvWeights(
        kernel=np.full((in_shape[0], 1, *kernel_size), tap),
        in_shape=_map_shape(in_shape),
        out_shape=_map_shape(out_shape),
        stride=_pair(node.stride),
        padding=_pair(node.padding),
        groups=in_shape[0],
    )
    return LinearNode(name, weights, None)


def _flatten(name: str, _node: nir.Flatten, _in_shape: Shape, _out_shape: Shape) -> LinearNode:
    return LinearNode(name, None, None)


LINEAR_NODES: dict[type, Callable[[str, Any, Shape, Shape], LinearNode]] = {
    nir.Affine: _affine,
    nir.Linear: _linear,
    nir.Scale: _scale,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.AvgPool2d: _pool,
    nir.SumPool2d: _pool,
    nir.Flatten: _flatten,
}
"""From (name, node, input shape, output shape) to the map."""
