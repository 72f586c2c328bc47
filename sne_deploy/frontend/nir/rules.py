"""What NIR's nodes do to shapes: which leaves, which their fields ask for, and their normal form.

Shapes are of one sample at one step. What is wrong is a ValueError with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from sne_deploy.frontend.nir.arrays import as_floats, fits_exactly, to_shape, view_in_shape
from sne_deploy.frontend.nir.windows import conv_node_geometry, ints, symmetric_node
from sne_deploy.model.layers.geometry import Shape, check_size, flattened, window_sizes


class Rule:
    """Of one kind of node."""

    passes = False
    """Whether what leaves has the shape of what enters."""

    def leaving(self, node: Any, shape: Shape) -> Shape:
        """The shape that leaves, for the one that enters."""
        raise NotImplementedError

    def asked(self, node: Any) -> Shape | None:  # noqa: ARG002  some do not say
        """The shape that has to enter, as far as the node's own fields say."""
        return None

    def arguments(self, node: Any, shape: Shape) -> dict[str, Any]:
        """The constructor's arguments, metadata aside, of the node in its normal form."""
        raise NotImplementedError


def declared_shape(node: Any) -> Shape | None:
    """The shape that an Input, Output or Flatten node declares, if any; an empty one is none."""
    value = next(iter((node.input_type or {}).values()), None)
    return None if value is None or np.size(value) == 0 else tuple(int(n) for n in np.atleast_1d(value))


def is_leading(declared: Shape, shape: Shape) -> bool:
    """Whether a declared shape is the shape with more axes before it: a batch, time."""
    return len(declared) > len(shape) > 0 and declared[-len(shape) :] == shape


@dataclass(frozen=True)
class Port(Rule):
    """An Input or an Output; ``way`` says which."""

    way: str
    passes = True

    def leaving(self, node: Any, shape: Shape) -> Shape:
        """What it declares may have more axes at its front."""
        declared = declared_shape(node)
        if declared is not None and declared != shape and not is_leading(declared, shape):
            raise ValueError(f"gets shape {shape}, declares {declared}")
        return shape

    def asked(self, node: Any) -> Shape | None:
        """What it declares."""
        return declared_shape(node)

    def arguments(self, _node: Any, shape: Shape) -> dict[str, Any]:
        """Its type."""
        return {f"{self.way}_type": {self.way: np.array(shape)}}


@dataclass(frozen=True)
class Elementwise(Rule):
    """Works on each value by itself, with parameters that have one value per neuron."""

    parameters: tuple[str, ...]
    passes = True

    def leaving(self, node: Any, shape: Shape) -> Shape:
        """Parameters may be broadcast."""
        for field in self.parameters:
            value = getattr(node, field)
            try:
                if value is not None:
                    view_in_shape(value, shape)
            except ValueError:
                raise ValueError(_mismatch(field, value, shape)) from None
        return shape

    def check_exact(self, node: Any, shape: Shape) -> None:
        """Refuse parameters that have to be broadcast, other than one value for all neurons."""
        for field in self.parameters:
            value = getattr(node, field)
            if value is not None and not fits_exactly(value, shape):
                raise ValueError(_mismatch(field, value, shape))

    def asked(self, node: Any) -> Shape:
        """The largest of its parameters."""
        shapes = (np.shape(getattr(node, field)) for field in self.parameters)
        return max(shapes, key=lambda shape: (math.prod(shape), len(shape)))

    def arguments(self, node: Any, shape: Shape) -> dict[str, Any]:
        """Parameters in the neurons' shape."""
        return {field: to_shape(as_floats(getattr(node, field)), shape) for field in self.parameters}


def _mismatch(field: str, value: Any, shape: Shape) -> str:
    return (
        f"gets shape {shape}, its {field} has {np.shape(value)}; parameters must have the shape of the "
        "neurons, or broadcast to it"
    )


class Matrix(Rule):
    """A matrix, with a bias or without."""

    def leaving(self, node: Any, shape: Shape) -> Shape:
        """(n_in,) -> (n_out,)."""
        weight = np.shape(node.weight)
        if len(weight) != 2:
            raise ValueError(f"weight has shape {weight}, must be a matrix")
        if shape != (weight[1],):
            raise ValueError(f"gets shape {shape}, weight {weight} needs ({weight[1]},)")
        if hasattr(node, "bias") and np.shape(node.bias) != (weight[0],):
            raise ValueError(f"bias has shape {np.shape(node.bias)}, weight {weight} needs ({weight[0]},)")
        return (int(weight[0]),)

    def asked(self, node: Any) -> Shape:
        """(n_in,)."""
        return tuple(int(n) for n in np.shape(node.weight)[1:])

    def arguments(self, node: Any, _shape: Shape) -> dict[str, Any]:
        """Floats."""
        names = ("weight", "bias") if hasattr(node, "bias") else ("weight",)
        return {name: as_floats(getattr(node, name)) for name in names}


@dataclass(frozen=True)
class Conv(Rule):
    """A convolution along ``axes`` axes."""

    axes: int

    def leaving(self, node: Any, shape: Shape) -> Shape:
        """(c_in, *sizes) -> (c_out, *sizes)."""
        weight, axes = np.shape(node.weight), self.axes
        if len(weight) != axes + 2:
            raise ValueError(f"weight has shape {weight}, must have {axes + 2} axes")
        stride, padding, dilation, groups = conv_node_geometry(symmetric_node(node))
        if len(shape) != axes + 1 or shape[0] != weight[1] * groups:
            raise ValueError(
                f"gets shape {shape}, weight {weight} with {groups} groups needs {weight[1] * groups} "
                f"channels and {axes} more axes"
            )
        if weight[0] % groups:
            raise ValueError(f"{groups} groups do not divide the {weight[0]} output channels")
        if np.shape(node.bias) != (weight[0],):
            raise ValueError(f"bias has shape {np.shape(node.bias)}, weight {weight} needs ({weight[0]},)")
        if isinstance(node.padding, str) and node.padding == "same":
            return (int(weight[0]), *shape[1:])
        return (int(weight[0]), *window_sizes(shape, weight[2:], stride, padding, dilation))

    def asked(self, node: Any) -> Shape | None:
        """What its ``input_shape`` says."""
        if node.input_shape is None:
            return None
        sizes = (int(n) for n in np.atleast_1d(node.input_shape))
        return (int(np.shape(node.weight)[1] * np.asarray(node.groups).item()), *sizes)

    def arguments(self, node: Any, shape: Shape) -> dict[str, Any]:
        """Numbers for named paddings, one per axis."""
        node = symmetric_node(node)
        stride, padding, dilation, groups = conv_node_geometry(node)
        geometry = {"input_shape": shape[1:], "stride": stride, "padding": padding, "dilation": dilation}
        return {
            **{name: entries[0] if self.axes == 1 else entries for name, entries in geometry.items()},
            "weight": as_floats(node.weight),
            "groups": groups,
            "bias": as_floats(node.bias),
        }


class Pool(Rule):
    """A window that slides over maps."""

    def leaving(self, node: Any, shape: Shape) -> Shape:
        """(c, h, w) -> (c, h', w')."""
        if len(shape) != 3:
            raise ValueError(f"gets shape {shape}, needs (channels, height, width)")
        kernel, stride = ints(node.kernel_size, 2, 1), ints(node.stride, 2, 1)
        padding = ints(node.padding, 2, 0)
        check_size((shape[0], *kernel), "kernel")
        return (shape[0], *window_sizes(shape, kernel, stride, padding, (1, 1)))

    def arguments(self, node: Any, _shape: Shape) -> dict[str, Any]:
        """Two entries each."""
        return {
            name: np.array(np.broadcast_to(np.asarray(getattr(node, name)).reshape(-1), (2,)))
            for name in ("kernel_size", "stride", "padding")
        }


class Flatten(Rule):
    """Joins axes."""

    def leaving(self, node: Any, shape: Shape) -> Shape:
        """The axes from ``start_dim`` to ``end_dim`` as one."""
        return flattened(shape, *_flatten_axes(node, shape))

    def asked(self, node: Any) -> Shape | None:
        """What it declares, if that is no placeholder."""
        declared = declared_shape(node)
        return declared if declared and all(declared) else None

    def arguments(self, node: Any, shape: Shape) -> dict[str, Any]:
        """Axes without a batch."""
        start, end = _flatten_axes(node, shape)
        return {"input_type": {"input": np.array(shape)}, "start_dim": start, "end_dim": end}


def _flatten_axes(node: nir.Flatten, shape: Shape) -> tuple[int, int]:
    """The first and the last axis that a Flatten joins, both counted from 0 without a batch axis.

    A declared ``input_type`` with one more axis before the shape is one with a batch axis, which
    ``start_dim`` and ``end_dim`` then count too; one of zeros alone is a placeholder (old Sinabs).

    Raises
    ------
    ValueError
        What it declares contradicts the shape, or its axes are not axes of the shape.
    """
    declared = declared_shape(node)
    batch = declared is not None and len(declared) == len(shape) + 1
    if declared is not None and any(declared) and declared[batch:] != shape:
        raise ValueError(f"gets shape {shape}, declares {declared}")
    start, end = (
        int(dim) + (len(shape) if dim < 0 else -int(batch)) for dim in (node.start_dim, node.end_dim)
    )
    if not 0 <= start <= end < len(shape):
        raise ValueError(
            f"start_dim={int(node.start_dim)} to end_dim={int(node.end_dim)} are not axes of shape "
            f"{declared if batch else shape}{' after its batch axis' if batch else ''}"
        )
    return start, end
