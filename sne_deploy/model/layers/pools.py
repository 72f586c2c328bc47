"""Pools along one axis or two: the windows that each output sees, and what may be wrong with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.layer import Layer, OptionValue


@dataclass(frozen=True)
class Window:
    """Along one axis output i sees ``kernel`` inputs, ``dilation`` apart, from i stride - padding on."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def reach(self) -> int:
        """From the first input that it sees to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    def outputs(self, size: int, *, ceil: bool) -> int:
        """Windows on ``size`` inputs; with ``ceil``, one more that begins inside them and ends outside.

        References
        ----------
        torch.nn.MaxPool2d, "Shape": windows that would begin in the padding on the right are left out.
        """
        left = size + 2 * self.padding - self.reach
        if not ceil:
            return left // self.stride + 1
        count = -(-left // self.stride) + 1
        return count - ((count - 1) * self.stride >= size + self.padding)


def axes_of(layer: Layer) -> int:
    """Of a pool's windows."""
    return int(layer.kind[-2])


def windows(layer: Layer) -> tuple[Window, ...]:
    """Of a pool with a kernel, one for each axis; the stride defaults to the kernel."""
    axes = axes_of(layer)
    kernel = spread(layer.options["kernel_size"], axes)
    stride = layer.options.get("stride")
    rest = (
        kernel if stride is None else spread(stride, axes),
        spread(layer.options.get("padding", 0), axes),
        spread(layer.options.get("dilation", 1), axes),
    )
    return tuple(Window(*entries) for entries in zip(kernel, *rest, strict=True))


def spread(value: OptionValue, length: int) -> Shape:
    """An int or a tuple of ints, as a tuple of ``length`` ints."""
    if isinstance(value, tuple):
        return value
    return (int(cast(int, value)),) * length


def pool_shape(layer: Layer, shape: Shape) -> Shape:
    """(c, *sizes) -> (c, *sizes)."""
    _check_rank(layer, shape)
    ceil = bool(layer.options.get("ceil_mode", False))
    sizes = tuple(w.outputs(n, ceil=ceil) for w, n in zip(windows(layer), shape[1:], strict=True))
    if min(sizes) < 1:
        kernel = tuple(window.kernel for window in windows(layer))
        raise ValueError(
            f"a window of {kernel} does not fit an input of shape {shape}; use a smaller one or padding"
        )
    return (shape[0], *sizes)


def pool_problems(layer: Layer) -> list[str]:
    """Padding is at most half the kernel, as torch requires."""
    if all(2 * window.padding <= window.reach for window in windows(layer)):
        return []
    padding, kernel = (
        spread(layer.options.get(name, 0), axes_of(layer)) for name in ("padding", "kernel_size")
    )
    return [f"padding {padding} is more than half of kernel_size {kernel}"]


def adaptive_shape(layer: Layer, shape: Shape) -> Shape:
    """(c, *sizes) -> (c, *output_size), where a size of 0 stays as it is."""
    _check_rank(layer, shape)
    wanted = spread(layer.options["output_size"], axes_of(layer))
    return (shape[0], *(out or size for out, size in zip(wanted, shape[1:], strict=True)))


def adaptive_windows(size: int, outputs: int) -> list[tuple[int, int]]:
    """First input and number of inputs that each output of an adaptive pool sees; they may overlap.

    References
    ----------
    torch.nn.AdaptiveAvgPool1d: from floor(i n / m) to ceil((i + 1) n / m).
    """
    starts = [i * size // outputs for i in range(outputs)]
    return [(start, -(-(i + 1) * size // outputs) - start) for i, start in enumerate(starts)]


def _check_rank(layer: Layer, shape: Shape) -> None:
    needed = ("channels", "height", "width") if axes_of(layer) == 2 else ("channels", "length")
    if len(shape) != len(needed):
        raise ValueError(f"input has shape {shape}, needs ({', '.join(needed)})")
    if math.prod(shape) == 0:
        raise ValueError(f"input has shape {shape}, nothing to pool")
