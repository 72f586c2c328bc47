"""Strides, paddings and dilations of NIR's convolutions and pools, in numbers, one per axis."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from sne_deploy.frontend.nir.arrays import as_array
from sne_deploy.model.layers.geometry import Shape, check_size, same_padding


def conv_node_geometry(node: nir.Conv1d | nir.Conv2d) -> tuple[Shape, Shape, Shape, int]:
    """Stride, padding and dilation (one entry per axis) and groups; ``'same'`` and ``'valid'`` are resolved.

    Raises
    ------
    ValueError
        An entry is missing, too small, or ``'same'`` would pad the two sides differently, which
        :func:`symmetric_node` mends.
    """
    kernel = tuple(int(k) for k in np.shape(node.weight)[2:])
    stride, dilation = ints(node.stride, len(kernel), 1), ints(node.dilation, len(kernel), 1)
    if isinstance(node.padding, str):
        padding = _named_padding(node.padding, kernel, dilation, stride)
    else:
        padding = ints(node.padding, len(kernel), 0)
    return stride, padding, dilation, ints(node.groups, 1, 1)[0]


def symmetric_node(node: Any) -> Any:
    """A convolution whose ``'same'`` pads both sides alike; the node itself where it does already.

    Where the sum of both paddings is odd, PyTorch pads one more at the end. A zero before the first tap of
    the kernel, its dilation written out as zeros, makes that symmetric.

    Raises
    ------
    ValueError
        ``'same'`` with a stride: there is no such convolution.
    """
    if not isinstance(node.padding, str) or node.padding != "same":
        return node
    kernel = tuple(int(k) for k in np.shape(node.weight)[2:])
    stride, dilation = ints(node.stride, len(kernel), 1), ints(node.dilation, len(kernel), 1)
    if any(s != 1 for s in stride):
        raise ValueError(f"padding 'same' with stride {stride} is not defined; give the padding in numbers")
    weight, changed = as_array(node.weight), list(dilation)
    for axis, (k, d) in enumerate(zip(kernel, dilation, strict=True)):
        if d * (k - 1) % 2:
            weight, changed[axis] = _with_front_zero(weight, 2 + axis, d), 1
    if weight is node.weight:
        return node
    fields = {name: value for name, value in vars(node).items() if name not in ("input_type", "output_type")}
    one = len(kernel) == 1
    return type(node)(**{**fields, "weight": weight, "dilation": changed[0] if one else tuple(changed)})


def _with_front_zero(weight: Any, axis: int, dilation: int) -> Any:
    """Taps at their dilated places along an axis, after one zero."""
    shape = list(weight.shape)
    shape[axis] = dilation * (shape[axis] - 1) + 2
    check_size(shape, "kernel")
    wide = np.zeros(shape, dtype=weight.dtype)
    wide[(slice(None),) * axis + (slice(1, None, dilation),)] = weight
    return wide


def _named_padding(name: str, kernel: Shape, dilation: Shape, stride: Shape) -> Shape:
    if name not in ("same", "valid"):
        raise ValueError(f"padding {name!r} is not one of same, valid")
    if name == "valid":
        return (0,) * len(kernel)
    padding = same_padding(kernel, dilation)
    if padding is None or any(s != 1 for s in stride):
        raise ValueError(
            f"padding 'same' with kernel {kernel}, dilation {dilation}, stride {stride} is not symmetric; "
            "give the padding in numbers"
        )
    return padding


def ints(value: Any, length: int, minimum: int) -> Shape:
    """One int or ``length`` of them, as a tuple of ``length``.

    Raises
    ------
    ValueError
        Something else, or an int below ``minimum``.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size not in (1, length):
        raise ValueError(f"{value!r} must be 1 or {length} ints")
    entries = tuple(int(n) for n in np.broadcast_to(array.reshape(-1), (length,)))
    if min(entries) < minimum:
        raise ValueError(f"{entries} must be at least {minimum}")
    return entries
