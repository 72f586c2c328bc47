"""Pools as NIR nodes, exactly: NIR has averages of two-dimensional windows, and no other pool.

A maximum of spikes is a spike where their sum is not 0: a convolution with ones, and a Threshold behind it.
An average whose windows differ is the sum of several convolutions, each of which a Scale of 0 and 1 keeps
where the window is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.model.layers import pools
from sne_deploy.model.layers.geometry import Shape, check_size
from sne_deploy.model.layers.layer import Layer
from sne_deploy.model.layers.pools import Window

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Part:
    """What a layer becomes.

    Attributes
    ----------
    nodes : mapping of str to node
        By what follows the layer's name in theirs.
    edges : tuple of (str, str)
    entries : tuple of str
        The nodes that get what enters.
    last : str
        The node that sends.
    """

    nodes: Mapping[str, Any]
    edges: tuple[tuple[str, str], ...] = ()
    entries: tuple[str, ...] = ("",)
    last: str = ""


def max_pool(layer: Layer, shape: Shape) -> Part:
    """Convolution with ones, then a Threshold that one spike exceeds."""
    out_shape = pools.pool_shape(layer, shape)
    found = pools.windows(layer)
    axes = [_summed(w, n, m) for w, n, m in zip(found, shape[1:], out_shape[1:], strict=True)]
    entry = _depthwise(axes, shape, {"kind": layer.kind, "role": "input"})
    threshold = nir.Threshold(np.full(out_shape, 0.5), metadata=_metadata(layer))
    return Part({"_input": entry, "": threshold}, (("_input", ""),), ("_input",))


def average_pool(layer: Layer, shape: Shape, metadata: Mapping[str, Any] | None = None) -> Part:
    """NIR's own where there are two axes, else a convolution with 1 / kernel."""
    found = pools.windows(layer)
    metadata = metadata or _metadata(layer)
    if len(found) == 2:
        entries = (np.array([getattr(w, name) for w in found]) for name in ("kernel", "stride", "padding"))
        return Part({"": nir.AvgPool2d(*entries, metadata=dict(metadata))})
    (window,) = found
    taps = np.full(window.kernel, 1.0 / window.kernel)
    return Part({"": _depthwise([_Axis(taps, window.stride, window.padding)], shape, metadata)})


def adaptive_pool(layer: Layer, shape: Shape) -> Part:
    """One axis after the other where windows differ in size or distance.

    Nodes with the role ``part`` are not named by the connections that they become part of.
    """
    out_shape = pools.adaptive_shape(layer, shape)
    metadata = _metadata(layer)
    if all(n % m == 0 for n, m in zip(shape[1:], out_shape[1:], strict=True)):
        kernel = tuple(n // m for n, m in zip(shape[1:], out_shape[1:], strict=True))
        return average_pool(Layer(f"AvgPool{len(kernel)}d", {"kernel_size": kernel}), shape, metadata)
    part = {**metadata, "role": "part"}
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    entries: list[str] = []
    previous: list[str] = []
    for axis, (n, m) in enumerate(zip(shape[1:], out_shape[1:], strict=True)):
        unchanged = [_Axis(np.ones(1)) for _ in shape[1:]]
        leaving = (*shape[: axis + 1], m, *shape[axis + 2 :])
        sums = []
        for index, (window, own) in enumerate(_classes(n, m)):
            conv, mask = f"_{axis}_{index}", f"_{axis}_{index}_own"
            nodes[conv] = _depthwise([*unchanged[:axis], window, *unchanged[axis + 1 :]], shape, part)
            along = own.reshape(-1, *(1,) * (len(shape) - axis - 2))
            nodes[mask] = nir.Scale(np.broadcast_to(along, leaving).astype(np.float64), metadata=part)
            edges += [(conv, mask), *((source, conv) for source in previous)]
            sums.append(mask)
            if axis == 0:
                entries.append(conv)
        previous, shape = sums, leaving
    nodes[""] = nir.Scale(np.ones(out_shape), metadata=metadata)
    edges += [(source, "") for source in previous]
    return Part(nodes, tuple(edges), tuple(entries))


def _metadata(layer: Layer) -> dict[str, Any]:
    return {"kind": layer.kind, "options": {k: v for k, v in layer.options.items() if v is not None}}


@dataclass(frozen=True, eq=False)
class _Axis:
    """Of a convolution that treats each channel by itself."""

    taps: Array
    stride: int = 1
    padding: int = 0
    dilation: int = 1


def _summed(window: Window, size: int, outputs: int) -> _Axis:
    """Ones; where the last window ends outside, zeros before them make room for padding on both sides."""
    beyond = (outputs - 1) * window.stride + window.reach - size - 2 * window.padding
    if beyond <= 0:
        return _Axis(np.ones(window.kernel), window.stride, window.padding, window.dilation)
    taps = np.zeros(beyond + window.reach)
    taps[beyond :: window.dilation] = 1.0
    return _Axis(taps, window.stride, window.padding + beyond)


def _classes(size: int, outputs: int) -> Iterator[tuple[_Axis, Array]]:
    """Averages at a regular distance, each with the outputs (0 or 1) whose windows are these.

    Output i of a convolution begins at i stride - padding; its kernel is as long as the count of outputs
    allows, and holds the window where it is to be.
    """
    stride = max(1, size // outputs)
    found = pools.adaptive_windows(size, outputs)
    kinds = [(start - i * stride, length) for i, (start, length) in enumerate(found)]
    padding = (outputs - 1) * stride
    for first, length in sorted(set(kinds)):
        taps = np.zeros(size + padding)
        taps[padding + first : padding + first + length] = 1.0 / length
        own = np.array([kind == (first, length) for kind in kinds], dtype=np.float64)
        yield _Axis(taps, stride, padding), own


def _depthwise(axes: list[_Axis], shape: Shape, metadata: Mapping[str, Any]) -> nir.Conv1d | nir.Conv2d:
    kernel = axes[0].taps
    for axis in axes[1:]:
        kernel = np.multiply.outer(kernel, axis.taps)
    check_size((shape[0], *kernel.shape), "kernel")
    weight = np.broadcast_to(kernel, (shape[0], 1, *kernel.shape)).copy()
    stride, padding, dilation = (
        tuple(getattr(axis, name) for axis in axes) for name in ("stride", "padding", "dilation")
    )
    bias, more = np.zeros(shape[0]), {"metadata": {**metadata, "bias": False}}
    if len(axes) == 1:
        return nir.Conv1d(shape[1], weight, stride[0], padding[0], dilation[0], shape[0], bias, **more)
    return nir.Conv2d(shape[1:], weight, stride, padding, dilation, shape[0], bias, **more)


POOLS: Mapping[str, Callable[[Layer, Shape], Part]] = {
    "AvgPool1d": average_pool,
    "AvgPool2d": average_pool,
    "MaxPool1d": max_pool,
    "MaxPool2d": max_pool,
    "AdaptiveAvgPool1d": adaptive_pool,
    "AdaptiveAvgPool2d": adaptive_pool,
}
"""From a layer and its input's shape to its nodes."""
