"""A student's layers, each over all steps of a chunk of samples at once.

What a stage takes and gives has shape (B, T, ...), or (B, 1, ...) where it is the same at every step. Spikes
are uint8, everything else is float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.layer_rules import conv_geometry
from sne_deploy.model.layers.pools import Window, windows
from sne_deploy.model.layers.registry import LAYER_KINDS, option, output_shape
from sne_norse.cells import CELLS
from sne_norse.maps import Map, by_torch, convolution, in_shape, matrix, pool, spike_pool

Array = npt.NDArray[Any]
Way = Literal["compiled", "torch", "norse"]
"""What computes a layer: a compiled kernel, torch over all rows, or Norse's cell step by step."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One layer.

    Attributes
    ----------
    layer : Layer
    shape : tuple of int
        Of what it sends for one sample at one step.
    way : Way
    run : callable
        ``run(x, timesteps)``.
    """

    layer: Layer
    shape: tuple[int, ...]
    way: Way
    run: Callable[[Array, int], Array]

    @property
    def cell(self) -> bool:
        """Whether it is a neuron group of the Program."""
        return LAYER_KINDS[self.layer.kind].neuron


def make_stage(layer: Layer, input_shape: tuple[int, ...]) -> Stage:
    """What computes a layer on inputs of that shape."""
    shape = output_shape(layer, input_shape)
    if layer.kind not in _STATELESS:
        if layer.kind in CELLS:
            return Stage(layer, shape, "compiled", _compiled_cell(layer, shape))
        return Stage(layer, shape, "norse", _norse_cell(layer))
    way, make = _STATELESS[layer.kind]
    function = make(layer, shape)
    return Stage(layer, shape, way, lambda x, _timesteps: function(x))


def _compiled_cell(layer: Layer, shape: tuple[int, ...]) -> Callable[[Array, int], Array]:
    neurons = CELLS[layer.kind](layer, shape)
    into = matrix(layer.tensors["input_weights"], None) if "input_weights" in layer.tensors else None
    return lambda x, timesteps: neurons.run(None, x if into is None else into(x), timesteps)


def _norse_cell(layer: Layer) -> Callable[[Array, int], Array]:
    spiking = LAYER_KINDS[layer.kind].spiking

    def run(x: Array, timesteps: int) -> Array:
        module = module_from_layers([layer], dtype=torch.float64)
        entering, state = torch.from_numpy(np.asarray(x, np.float64)), None
        sent = []
        with torch.inference_mode():
            for t in range(timesteps):
                z, state = module(entering[:, t if x.shape[1] > 1 else 0], state)
                sent.append(z.numpy().astype(np.uint8) if spiking else z.numpy().copy())
        return np.stack(sent, axis=1)

    return run


def _linear(layer: Layer, _shape: tuple[int, ...]) -> Map:
    return matrix(layer.tensors["weight"], layer.tensors.get("bias"))


def _conv(layer: Layer, _shape: tuple[int, ...]) -> Map:
    _, *window, groups = conv_geometry(layer)
    return convolution(layer.tensors["weight"], layer.tensors.get("bias"), window, groups)


def _average(layer: Layer, shape: tuple[int, ...]) -> Map:
    """Along one axis it is one of height 1."""
    above = Window(1, 1, 0, 1)
    found = ((above,) * (2 - len(windows(layer))) + windows(layer))[-2:]
    kernel, stride, padding = ([getattr(w, name) for w in found] for name in ("kernel", "stride", "padding"))
    return in_shape(pool(kernel, stride, padding, prod(kernel)), shape)


def _adaptive(_layer: Layer, shape: tuple[int, ...]) -> Map:
    sizes = (1 if len(shape) == 2 else shape[1], shape[-1])
    return in_shape(by_torch(lambda x: torch.nn.functional.adaptive_avg_pool2d(x, sizes)), shape)


def _maximum(layer: Layer, shape: tuple[int, ...]) -> Map:
    return spike_pool(windows(layer), shape)


def _batch_norm(layer: Layer, _shape: tuple[int, ...]) -> Map:
    options: dict[str, Any] = {
        name: torch.tensor(np.asarray(array, np.float64)) for name, array in layer.tensors.items()
    }
    options["eps"] = option(layer, "eps")
    return by_torch(lambda x: torch.nn.functional.batch_norm(x, **options))


def _same_values(_layer: Layer, shape: tuple[int, ...]) -> Map:
    """Flattening, and dropout at inference."""
    return lambda x: x.reshape(*x.shape[:2], *shape)


_STATELESS: Mapping[str, tuple[Way, Callable[[Layer, tuple[int, ...]], Map]]] = {
    "Linear": ("compiled", _linear),
    "Conv1d": ("compiled", _conv),
    "Conv2d": ("compiled", _conv),
    "AvgPool1d": ("torch", _average),
    "AvgPool2d": ("torch", _average),
    "AdaptiveAvgPool1d": ("torch", _adaptive),
    "AdaptiveAvgPool2d": ("torch", _adaptive),
    "MaxPool1d": ("compiled", _maximum),
    "MaxPool2d": ("compiled", _maximum),
    "BatchNorm1d": ("torch", _batch_norm),
    "BatchNorm2d": ("torch", _batch_norm),
    "Flatten": ("compiled", _same_values),
    "Dropout": ("compiled", _same_values),
}
