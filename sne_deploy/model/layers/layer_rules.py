"""Rules of each layer kind that join its options, its tensors and its input's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from sne_deploy.model.layers.geometry import Shape, flattened, window_sizes
from sne_deploy.model.layers.layer import Layer
from sne_deploy.model.layers.pools import spread


def conv_geometry(layer: Layer) -> tuple[Shape, Shape, Shape, Shape, int]:
    """Kernel, stride, padding, dilation (one entry per axis) and groups of a convolution."""
    kernel = layer.tensors["weight"].shape[2:]
    axes = len(kernel)
    stride, padding, dilation = (
        spread(layer.options.get(name, default), axes)
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    groups = spread(layer.options.get("groups", 1), 1)[0]
    return kernel, stride, padding, dilation, groups


def identity_shape(layer: Layer, shape: Shape) -> Shape:  # noqa: ARG001  # the interface of a shape rule
    """The input's shape."""
    return shape


def no_problems(layer: Layer) -> list[str]:  # noqa: ARG001  # the interface of a check
    """Nothing to check."""
    return []


def linear_shape(layer: Layer, shape: Shape) -> Shape:
    """(n_in,) -> (n_out,)."""
    n_out, n_in = layer.tensors["weight"].shape
    if len(shape) != 1:
        raise ValueError(f"input has shape {shape}, needs a vector ({n_in},); put a Flatten before it")
    if shape[0] != n_in:
        raise ValueError(f"input has shape {shape}, weight {(n_out, n_in)} needs ({n_in},)")
    return (int(n_out),)


def linear_problems(layer: Layer) -> list[str]:
    """The bias has one entry per output."""
    return _bias_problem(layer, layer.tensors["weight"].shape[0])


def conv_shape(layer: Layer, shape: Shape) -> Shape:
    """(c_in, *sizes) -> (c_out, *sizes)."""
    kernel, stride, padding, dilation, groups = conv_geometry(layer)
    weight = layer.tensors["weight"].shape
    c_in = weight[1] * groups
    if len(shape) != len(weight) - 1 or shape[0] != c_in:
        needed = ("channels", "height", "width") if len(kernel) == 2 else ("channels", "length")
        raise ValueError(f"input has shape {shape}, needs ({', '.join(needed)}) with {c_in} channels")
    return (int(weight[0]), *window_sizes(shape, kernel, stride, padding, dilation))


def conv_problems(layer: Layer) -> list[str]:
    """Groups divide the output channels, and the bias has one entry per channel."""
    c_out, groups = layer.tensors["weight"].shape[0], conv_geometry(layer)[4]
    problems = _bias_problem(layer, c_out)
    if c_out % groups:
        problems.append(f"groups={groups} does not divide the {c_out} output channels")
    return problems


def flatten_axes(layer: Layer, ndim: int) -> tuple[int, int]:
    """First and last axis to join, from 0 without the batch axis; torch counts the batch axis."""
    start, end = (
        cast(int, layer.options.get(name, default)) for name, default in (("start_dim", 1), ("end_dim", -1))
    )
    return (start if start < 0 else start - 1 - ndim) + ndim, (end if end < 0 else end - 1 - ndim) + ndim


def flatten_shape(layer: Layer, shape: Shape) -> Shape:
    """Join the axes from start_dim to end_dim."""
    try:
        return flattened(shape, *flatten_axes(layer, len(shape)))
    except ValueError:
        options = {
            name: layer.options.get(name, default) for name, default in (("start_dim", 1), ("end_dim", -1))
        }
        raise ValueError(
            f"start_dim={options['start_dim']} to end_dim={options['end_dim']} are not axes of an input "
            f"of shape (batch, {', '.join(map(str, shape))}) without the batch axis"
        ) from None


def batch_norm_shape(layer: Layer, shape: Shape) -> Shape:
    """The input's shape; BatchNorm1d takes (c,) or (c, length), BatchNorm2d (c, h, w)."""
    channels = len(layer.tensors["running_mean"])
    ranks = (1, 2) if layer.kind == "BatchNorm1d" else (3,)
    if len(shape) not in ranks or shape[0] != channels:
        raise ValueError(
            f"input has shape {shape}, needs {channels} channels and {' or '.join(map(str, ranks))} axes"
        )
    return shape


def batch_norm_problems(layer: Layer) -> list[str]:
    """All tensors have one entry per channel, and no variance is negative."""
    channels = layer.tensors["running_mean"].shape
    problems = [
        f"tensor {name} has shape {array.shape}, running_mean has {channels}"
        for name, array in layer.tensors.items()
        if array.shape != channels
    ]
    if (layer.tensors["running_var"] < 0).any():
        problems.append("tensor running_var holds negative values")
    return problems


def cell_shape(layer: Layer, shape: Shape) -> Shape:
    """The input's shape; every parameter must broadcast over it."""
    if not shape:
        raise ValueError("input has no axes, needs at least one")
    for name, array in layer.tensors.items():
        if name not in ("input_weights", "recurrent_weights", "alpha") and not _broadcasts(
            array.shape, shape
        ):
            raise ValueError(
                f"tensor {name} of shape {array.shape} does not broadcast over neurons of shape {shape}"
            )
    return shape


def recurrent_shape(layer: Layer, shape: Shape) -> Shape:
    """(n_in,) -> (n_out,)."""
    n_out, n_in = layer.tensors["input_weights"].shape
    if shape != (n_in,):
        raise ValueError(f"input has shape {shape}, input_weights {(n_out, n_in)} need ({n_in},)")
    return cell_shape(layer, (int(n_out),))


def subtracts(layer: Layer) -> bool:
    """Whether a spike subtracts the threshold; else it sets the membrane to v_reset."""
    return layer.options.get("reset_method") == "reset_subtract"


def cell_problems(layer: Layer) -> list[str]:
    """0 < dt / tau <= 1 in the parameter's own precision; recurrent weights are square."""
    problems = []
    dt = cast(float, layer.options.get("dt", 0.001))
    for name in ("tau_mem_inv", "tau_syn_inv"):
        if name in layer.tensors:
            array = layer.tensors[name]
            step = array.dtype.type(dt) * array
            if not (step > 0).all() or not (step <= 1).all():
                problems.append(
                    f"dt * {name} is {_range(step)}, must be in (0, 1]; norse 1.1.0 takes dt in seconds and "
                    f"{name} in 1/s"
                )
    if subtracts(layer) and layer.kind != "LIFBoxCell":
        problems.append("reset_subtract is LIFBoxCell's alone in norse 1.1.0; use reset_value")
    if "recurrent_weights" in layer.tensors:
        problems += _recurrent_problems(layer.tensors, bool(layer.options.get("autapses", False)))
    return problems


def _recurrent_problems(tensors: Mapping[str, Any], autapses: bool) -> list[str]:
    weights, n_out = tensors["recurrent_weights"], tensors["input_weights"].shape[0]
    if weights.shape != (n_out, n_out):
        return [f"tensor recurrent_weights has shape {weights.shape}, input_weights need {(n_out, n_out)}"]
    if not autapses and np.diagonal(weights).any():
        return ["recurrent_weights has a non-zero diagonal; set autapses=True to keep self-connections"]
    return []


def _bias_problem(layer: Layer, n_out: int) -> list[str]:
    bias = layer.tensors.get("bias")
    if bias is None or bias.shape == (n_out,):
        return []
    return [f"tensor bias has shape {bias.shape}, weight needs ({n_out},)"]


def _broadcasts(parameter: Shape, shape: Shape) -> bool:
    try:
        return np.broadcast_shapes(parameter, shape) == shape
    except ValueError:
        return False


def _range(values: Any) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
