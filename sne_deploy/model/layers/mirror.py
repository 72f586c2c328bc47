"""The mirror image of a student: what it makes of an image is what the student makes of the mirrored one.

Kernels, maps and what neurons have of their own are turned around, left to right: the same synapses in the
places of the mirrored image, hence as many synaptic operations and spikes, and as integers the same outputs,
bit for bit. What is asked is symmetrical, a trained network is not, so that both together err less than one
(Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", NIPS, 1097-1105,
section 4.1, averages the answers to an image and to its reflection). It takes no training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.layer import Layer
from sne_deploy.model.layers.layer_rules import conv_geometry
from sne_deploy.model.layers.pools import windows
from sne_deploy.model.layers.registry import layer_label, stack_shapes
from sne_deploy.model.layers.skips import SKIPS, over, source_of
from sne_deploy.neurons.table import CELLS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Flow:
    """What passes between two layers: its shape, and that of the image that it is, or is the vector of."""

    shape: Shape
    image: Shape | None

    def mirrored(self, values: Array) -> Array:
        """Values along a last axis, or axes, of this shape."""
        if self.image is None:
            return values
        inner = values.reshape(*values.shape[: values.ndim - len(self.shape)], *self.image)
        return np.ascontiguousarray(np.flip(inner, -1)).reshape(values.shape)


def mirrored(layers: Sequence[Layer], input_shape: Shape) -> tuple[Layer, ...]:
    """The layers of the mirror image of a student of images (channels, height, width).

    Parameters
    ----------
    layers : sequence of Layer
        Not changed.
    input_shape : tuple of int
        Of one sample at one step.

    Raises
    ------
    GraphError
        The layers do not fit each other; the input is no image; or windows leave columns over on the right
        that those of a mirror image cannot leave on the left: pools, and some dilated convolutions.
    """
    if len(input_shape) != 3:
        raise GraphError(
            f"a mirror image is of images (channels, height, width), not of an input of shape {input_shape}"
        )
    flow = _Flow(tuple(input_shape), tuple(input_shape))
    sent: list[_Flow] = []
    made: list[Layer] = []
    for layer, shape in zip(layers, stack_shapes(layers, input_shape), strict=True):
        source = cast("_Flow", source_of(over(layer), sent)) if layer.kind in SKIPS else flow
        made.append(_turned(layer, source))
        flow = _behind(layer, flow, shape)
        if layer.kind in CELLS:
            sent.append(flow)
    return tuple(made)


def _behind(layer: Layer, flow: _Flow, shape: Shape) -> _Flow:
    """What leaves a layer."""
    if len(shape) == 3:
        return _Flow(shape, shape)
    maps = layer.kind == "Linear" or (layer.kind in CELLS and CELLS[layer.kind].recurrent)
    return _Flow(shape, None if maps else flow.image)


def _turned(layer: Layer, flow: _Flow) -> Layer:
    """A layer for the mirror image of what it takes."""
    if layer.kind in ("Conv2d", "SkipConv2d"):
        return replace(layer, tensors={**layer.tensors, "weight": _kernel(layer, flow.shape[-1])})
    if layer.kind == "BatchNorm1d" and len(flow.shape) == 1:
        return replace(layer, tensors={name: flow.mirrored(one) for name, one in layer.tensors.items()})
    if layer.kind == "Conv1d" or layer.kind.endswith("Pool1d"):
        raise GraphError(
            f"{layer_label(layer)}: takes an image as a series, of which no mirror image is made; use the "
            "layer of two axes"
        )
    if "Pool" in layer.kind:
        _check_pool(layer, flow.shape)
        return layer
    if layer.kind in ("Linear", "SkipLinear"):
        weight = flow.mirrored(np.asarray(layer.tensors["weight"]))
        return replace(layer, tensors={**layer.tensors, "weight": weight})
    if layer.kind in CELLS:
        return replace(layer, tensors=_cell(layer, flow))
    return layer


def _kernel(layer: Layer, width: int) -> Array:
    """A convolution's, turned around; wider where its windows leave columns over on the right.

    There the windows of the mirror image begin so many columns further to the right: zeros on the left of the
    kernel, which are no synapses.
    """
    kernel, stride, padding, dilation = (axes[-1] for axes in conv_geometry(layer)[:4])
    left = (width + 2 * padding - dilation * (kernel - 1) - 1) % stride
    if left % dilation:
        raise GraphError(
            f"{layer_label(layer)}: its windows, of dilation {dilation}, leave {left} of {width} columns "
            "over on the right, and a mirror image cannot begin so far from the left; choose another padding "
            "or dilation"
        )
    weight = np.flip(np.asarray(layer.tensors["weight"]), -1)
    zeros = ((0, 0),) * (weight.ndim - 1) + ((left // dilation, 0),)
    return np.ascontiguousarray(np.pad(weight, zeros))


def _check_pool(layer: Layer, shape: Shape) -> None:
    """Refuse windows that are others from the right."""
    if layer.kind.startswith("Adaptive"):
        return
    window, size = windows(layer)[-1], shape[-1]
    count = window.outputs(size, ceil=bool(layer.options.get("ceil_mode", False)))
    left = size + 2 * window.padding - window.reach - (count - 1) * window.stride
    if left:
        raise GraphError(
            f"{layer_label(layer)}: its windows do not end where {size} columns do ({left:+d}), so that they "
            "are others in a mirror image; choose a kernel, stride or padding with which they do"
        )


def _cell(layer: Layer, flow: _Flow) -> dict[str, Array]:
    """What neurons have of their own, and the columns of recurrent cells' input weights."""
    tensors = {name: np.asarray(tensor) for name, tensor in layer.tensors.items()}
    if CELLS[layer.kind].recurrent:
        return {**tensors, "input_weights": flow.mirrored(tensors["input_weights"])}
    return {
        name: one if one.shape[-1:] in ((), (1,)) else flow.mirrored(np.broadcast_to(one, flow.shape))
        for name, one in tensors.items()
    }
