"""Layers without state, over all rows at once: x of shape (B, S, ...), S steps of B samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from sne_deploy.model.layers.geometry import window_sizes
from sne_deploy.model.layers.pools import Window
from sne_norse import map_kernels

Array = npt.NDArray[Any]
Map = Callable[[Array], Array]


def numbers(values: Array) -> Array:
    """Float32 as it is, which takes half the room and becomes float64 where it is used; float64 else."""
    return values if values.dtype == np.float32 else np.asarray(values, np.float64)


def matrix(weight: Array, bias: Array | None) -> Map:
    """``weight @ x + bias`` along the last axis."""
    rows = np.ascontiguousarray(numbers(weight).T)
    added = np.zeros(rows.shape[1]) if bias is None else np.asarray(bias, np.float64)

    def run(x: Array) -> Array:
        out = np.empty((*x.shape[:-1], rows.shape[1]))
        sent = np.ascontiguousarray(x).reshape(-1, rows.shape[0])
        map_kernels.multiply(sent, rows, added, out.reshape(-1, rows.shape[1]))
        return out

    return run


def convolution(
    weight: Array,
    bias: Array | None,
    window: Sequence[Sequence[int]],
    groups: int,
) -> Map:
    """Along one axis or two, with stride, padding and dilation; along one it is one of height 1."""
    stride, padding, dilation = window
    (c_out, per_group), kernel = weight.shape[:2], weight.shape[2:]
    above = (1,) * (2 - len(kernel))
    axes = zip((*above, *stride), (*(0 for _ in above), *padding), (*above, *dilation), strict=True)
    geometry = np.array([*(n for axis in axes for n in axis), groups], np.int64)
    taps = numbers(weight).reshape(groups, c_out // groups, per_group, *above, *kernel)
    taps = np.ascontiguousarray(taps.transpose(0, 2, 3, 4, 1))
    taps = taps.reshape(groups * per_group, *above, *kernel, c_out // groups)
    added = np.zeros(c_out) if bias is None else np.asarray(bias, np.float64)

    def run(x: Array) -> Array:
        sizes = window_sizes(x.shape[2:], kernel, stride, padding, dilation)
        out = np.empty((*x.shape[:2], c_out, *sizes))
        sent = np.ascontiguousarray(x).reshape(-1, x.shape[2], *above, *x.shape[3:])
        map_kernels.convolve(sent, taps, added, geometry, out.reshape(len(sent), c_out, *above, *sizes))
        return out

    return run


def pool(kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], divisor: int) -> Map:
    """Sums of windows over a divisor; padding is added first, for torch allows no more than half a kernel."""
    border = (padding[1], padding[1], padding[0], padding[0])
    return by_torch(
        lambda x: functional.avg_pool2d(
            functional.pad(x, border), tuple(kernel), tuple(stride), divisor_override=divisor
        )
    )


def spike_pool(windows: Sequence[Window], shape: tuple[int, ...]) -> Map:
    """A spike where one is in the window, uint8; along one axis it is one of height 1."""
    axes = [Window(1, 1, 0, 1)] * (2 - len(windows)) + list(windows)
    geometry = np.array([(w.kernel, w.stride, w.padding, w.dilation) for w in axes], np.int64)
    height = shape[1] if len(windows) == 2 else 1

    def run(x: Array) -> Array:
        out = np.zeros((*x.shape[:2], *shape), np.uint8)
        sent = np.ascontiguousarray(x).reshape(
            -1, shape[0], x.shape[-2] if len(windows) == 2 else 1, x.shape[-1]
        )
        map_kernels.any_spike(sent, geometry, out.reshape(len(sent), shape[0], height, shape[-1]))
        return out

    return run


def in_shape(function: Map, shape: tuple[int, ...]) -> Map:
    """A function of maps with two axes, on what may have one: what is sent has the shape."""

    def run(x: Array) -> Array:
        maps = x.reshape(*x.shape[:3], 1, x.shape[3]) if x.ndim == 4 else x
        return function(maps).reshape(*x.shape[:2], *shape)

    return run


def by_torch(function: Callable[[torch.Tensor], torch.Tensor]) -> Map:
    """A function of torch's that computes every row by itself, in float64."""

    def run(x: Array) -> Array:
        with torch.inference_mode():
            out = function(torch.from_numpy(np.ascontiguousarray(x, np.float64)).flatten(0, 1))
        return np.asarray(out.numpy()).reshape(*x.shape[:2], *out.shape[1:])

    return run
