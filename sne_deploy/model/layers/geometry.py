"""Output sizes of convolutions, pools and flattening, on shapes without a batch axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int, ...]
MAX_VALUES = 2**24
"""Of one signal and of one kernel: what a file only declares must not cost memory without limit."""


def check_size(shape: Sequence[int], what: str = "shape") -> None:
    """Refuse a shape of absurdly many values.

    Raises
    ------
    ValueError
        More than :data:`MAX_VALUES`.
    """
    if math.prod(shape) > MAX_VALUES:
        raise ValueError(f"{what} {tuple(shape)} has more than {MAX_VALUES} values, the limit")


def window_sizes(
    shape: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Shape:
    """Windows along each axis of n behind the channels.

    floor((n + 2 padding - dilation (kernel - 1) - 1) / stride) + 1

    Raises
    ------
    ValueError
        The kernel does not fit.

    References
    ----------
    torch.nn.Conv2d, "Shape"; torch.nn.AvgPool2d with ``ceil_mode=False`` is the case of dilation 1.
    """
    sizes = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    )
    if min(sizes) < 1:
        raise ValueError(
            f"a kernel of {tuple(kernel)} does not fit an input of shape {shape}; use a smaller one or "
            "padding"
        )
    return sizes


def reshapes(got: Shape, wanted: Shape) -> bool:
    """Whether values keep their order from one shape to the other.

    One is the other flattened, or they differ only in axes of length 1.
    """
    if math.prod(got) != math.prod(wanted):
        return False
    if len(got) == 1 or len(wanted) == 1:
        return True
    return [size for size in got if size != 1] == [size for size in wanted if size != 1]


def flattened(shape: Shape, start: int, end: int) -> Shape:
    """Join the axes from ``start`` to ``end``, both included and counted from 0 without the batch axis.

    Raises
    ------
    ValueError
        ``start`` and ``end`` are not axes in order.
    """
    if not 0 <= start <= end < len(shape):
        raise ValueError(f"axes {start} to {end} of shape {shape}")
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> Shape | None:
    """Padding of torch's ``'same'``, or None where it would differ between the two sides."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple(t // 2 for t in total) if all(t % 2 == 0 for t in total) else None
