"""Output shape of one NIR node, given the shape of what enters it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.broadcast import PARAMETERS, as_array, fits_exactly, view_in_shape
from sne_deploy.model.layers.geometry import Shape, check_size, flattened, same_padding, window_sizes
from sne_deploy.neurons.table import Derived


def output_shape_of(name: str, node: Any, shape: Shape, *, exact: bool = False) -> Shape:
    """The shape that leaves a node.

    Parameters
    ----------
    name : str
    node : nir node
        Of a type in :data:`RULES`; it is not changed.
    shape : tuple of int
        What enters.
    exact : bool
        Refuse parameters that have to be broadcast, other than one value for all neurons.

    Raises
    ------
    GraphError
        What enters does not fit, or what leaves is absurdly large; names the node.
    """
    try:
        check_size(shape)
        rule = _elementwise_exact if exact and type(node) in PARAMETERS else RULES[type(node)]
        result = rule(node, shape)
        check_size(result)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise GraphError(f"node {name!r} ({type(node).__name__}): {error}") from None
    return result


def declared_shape(node: Any) -> Shape | None:
    """The shape that an Input, Output or Flatten node declares, if any."""
    value = next(iter((node.input_type or {}).values()), None)
    return None if value is None else tuple(int(n) for n in np.atleast_1d(value))


def is_leading(declared: Shape, shape: Shape) -> bool:
    """Whether a declared shape is the shape with more axes before it: a batch, time."""
    return len(declared) > len(shape) > 0 and declared[-len(shape) :] == shape


def _input(node: Any, shape: Shape) -> Shape:
    declared = declared_shape(node)
    if declared is not None and declared != shape and not is_leading(declared, shape):
        raise ValueError(f"gets shape {shape}, declares {declared}")
    return shape


def _elementwise(node: Any, shape: Shape) -> Shape:
    for field in PARAMETERS[type(node)]:
        value = getattr(node, field)
        try:
            if value is not None:
                view_in_shape(value, shape)
        except ValueError:
            raise ValueError(_mismatch(field, value, shape)) from None
    return shape


def _elementwise_exact(node: Any, shape: Shape) -> Shape:
    for field in PARAMETERS[type(node)]:
        value = getattr(node, field)
        if value is not None and not fits_exactly(value, shape):
            raise ValueError(_mismatch(field, value, shape))
    return shape


def _mismatch(field: str, value: Any, shape: Shape) -> str:
    return (
        f"gets shape {shape}, its {field} has {np.shape(value)}; parameters must have the shape of the "
        "neurons, or broadcast to it"
    )


def _matrix(node: Any, shape: Shape) -> Shape:
    weight = np.shape(node.weight)
    if len(weight) != 2:
        raise ValueError(f"weight has shape {weight}, must be a matrix")
    if shape != (weight[1],):
        raise ValueError(f"gets shape {shape}, weight {weight} needs ({weight[1]},)")
    if hasattr(node, "bias") and np.shape(node.bias) != (weight[0],):
        raise ValueError(f"bias has shape {np.shape(node.bias)}, weight {weight} needs ({weight[0]},)")
    return (int(weight[0]),)


def conv_node_geometry(node: nir.Conv1d | nir.Conv2d) -> tuple[Shape, Shape, Shape, int]:
    """Stride, padding and dilation (one entry per axis) and groups; ``'same'`` and ``'valid'`` are resolved.

    Raises
    ------
    ValueError
        An entry is missing, too small, or ``'same'`` would pad the two sides differently, which
        :func:`symmetric_node` mends.
    """
    kernel = tuple(int(k) for k in np.shape(node.weight)[2:])
    stride, dilation = _ints(node.stride, len(kernel), 1), _ints(node.dilation, len(kernel), 1)
    if isinstance(node.padding, str):
        padding = _named_padding(node.padding, kernel, dilation, stride)
    else:
        padding = _ints(node.padding, len(kernel), 0)
    return stride, padding, dilation, _ints(node.groups, 1, 1)[0]


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
    stride, dilation = _ints(node.stride, len(kernel), 1), _ints(node.dilation, len(kernel), 1)
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


def _conv(node: Any, shape: Shape) -> Shape:
    weight = np.shape(node.weight)
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    if len(weight) != axes + 2:
        raise ValueError(f"weight has shape {weight}, must have {axes + 2} axes")
    stride, padding, dilation, groups = conv_node_geometry(symmetric_node(node))
    if len(shape) != axes + 1 or shape[0] != weight[1] * groups:
        raise ValueError(
            f"gets shape {shape}, weight {weight} with {groups} groups needs {weight[1] * groups} channels "
            f"and {axes} more axes"
        )
    if weight[0] % groups:
        raise ValueError(f"{groups} groups do not divide the {weight[0]} output channels")
    if np.shape(node.bias) != (weight[0],):
        raise ValueError(f"bias has shape {np.shape(node.bias)}, weight {weight} needs ({weight[0]},)")
    if isinstance(node.padding, str) and node.padding == "same":
        return (int(weight[0]), *shape[1:])
    sizes = window_sizes(shape[1:], weight[2:], stride, padding, dilation)
    return _fits((int(weight[0]), *sizes), shape, weight[2:])


def _pool(node: Any, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ValueError(f"gets shape {shape}, needs (channels, height, width)")
    kernel, stride = _ints(node.kernel_size, 2, 1), _ints(node.stride, 2, 1)
    padding = _ints(node.padding, 2, 0)
    check_size((shape[0], *kernel), "kernel")
    return _fits((shape[0], *window_sizes(shape[1:], kernel, stride, padding, (1, 1))), shape, kernel)


def flatten_node_axes(node: nir.Flatten, shape: Shape) -> tuple[int, int]:
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


def _flatten(node: Any, shape: Shape) -> Shape:
    return flattened(shape, *flatten_node_axes(node, shape))


def _ints(value: Any, length: int, minimum: int) -> Shape:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size not in (1, length):
        raise ValueError(f"{value!r} must be 1 or {length} ints")
    entries = tuple(int(n) for n in np.broadcast_to(array.reshape(-1), (length,)))
    if min(entries) < minimum:
        raise ValueError(f"{entries} must be at least {minimum}")
    return entries


def _fits(result: Shape, shape: Shape, kernel: Shape) -> Shape:
    if min(result) < 1:
        raise ValueError(f"a kernel of {tuple(kernel)} does not fit an input of shape {shape}")
    return result


RULES: Mapping[type, Callable[[Any, Shape], Shape]] = Derived(
    lambda _: {
        nir.Input: _input,
        nir.Output: _input,
        nir.Affine: _matrix,
        nir.Linear: _matrix,
        nir.Conv1d: _conv,
        nir.Conv2d: _conv,
        nir.SumPool2d: _pool,
        nir.AvgPool2d: _pool,
        nir.Flatten: _flatten,
        **dict.fromkeys(PARAMETERS, _elementwise),
    }
)
"""From (node, shape that enters) to the shape that leaves."""
