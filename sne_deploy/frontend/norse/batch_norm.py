"""Batch normalisation at inference is an affine map per channel: y = s x + (beta - s mean)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.registry import layer_label, option, output_shape

Array = npt.NDArray[Any]
MAX_DIAGONAL = 4096
"""Largest vector that a batch normalisation on its own may have: it becomes a dense diagonal matrix."""


def inference_layers(layers: Iterable[Layer], input_shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """The same stack without dropout and batch normalisation.

    A batch normalisation is folded into a directly preceding Linear or Conv (in float64); elsewhere it
    becomes a depthwise convolution with a 1-wide kernel on maps, a diagonal Linear on vectors.

    Parameters
    ----------
    layers : iterable of Layer
        A stack that :func:`sne_deploy.model.layers.registry.check_stack` accepts.
    input_shape : tuple of int

    Raises
    ------
    GraphError
        A diagonal Linear would be larger than ``MAX_DIAGONAL``.
    """
    result: list[Layer] = []
    shape = tuple(input_shape)
    for layer in layers:
        if layer.kind.startswith("BatchNorm"):
            if result and result[-1].kind in ("Linear", "Conv1d", "Conv2d"):
                result[-1] = _folded(result[-1], layer)
            else:
                result.append(_alone(layer, shape))
        elif layer.kind != "Dropout":
            result.append(layer)
        shape = output_shape(layer, shape)
    return tuple(result)


def scale_and_shift(layer: Layer) -> tuple[Array, Array]:
    """Return s = gamma / sqrt(var + eps) and beta - s mean, float64 arrays of shape (channels,)."""
    tensors = {name: array.astype(np.float64) for name, array in layer.tensors.items()}
    eps = float(cast(float, option(layer, "eps")))
    scale = tensors.get("weight", np.float64(1.0)) / np.sqrt(tensors["running_var"] + eps)
    return scale, tensors.get("bias", np.float64(0.0)) - scale * tensors["running_mean"]


def _folded(linear: Layer, norm: Layer) -> Layer:
    scale, shift = scale_and_shift(norm)
    weight = linear.tensors["weight"].astype(np.float64)
    bias = linear.tensors.get("bias", np.zeros(len(weight))).astype(np.float64)
    tensors = {
        "weight": weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)),
        "bias": scale * bias + shift,
    }
    return Layer(linear.kind, linear.options, tensors)


def _alone(norm: Layer, shape: Shape) -> Layer:
    scale, shift = scale_and_shift(norm)
    options = {"name": norm.options["name"]} if norm.options.get("name") else {}
    if len(shape) == 1:
        if len(scale) > MAX_DIAGONAL:
            raise GraphError(
                f"{layer_label(norm)}: {len(scale)} features make a diagonal matrix larger than "
                f"{MAX_DIAGONAL}; put it directly after a Linear or Conv layer, or before the Flatten"
            )
        return Layer("Linear", options, {"weight": np.diag(scale), "bias": shift})
    axes = len(shape) - 1
    weight = scale.reshape(-1, *(1,) * (axes + 1))
    return Layer(f"Conv{axes}d", {**options, "groups": len(scale)}, {"weight": weight, "bias": shift})
