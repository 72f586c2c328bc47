"""Layers as a Norse module that runs one step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.layer_rules import conv_geometry
from sne_deploy.model.layers.pools import axes_of, spread
from sne_deploy.model.layers.registry import LAYER_KINDS, option, validate_layer
from sne_deploy.model.layers.skips import SKIPS, over
from sne_deploy.neurons.table import CELLS

if TYPE_CHECKING:
    import torch


def module_from_layers(layers: Sequence[Layer], dtype: torch.dtype | None = None) -> torch.nn.Module:
    """Build a norse ``SequentialState`` of cells in evaluation mode: ``module(x_t, state) -> (out, state)``.

    Every parameter and every state is of ``dtype``, so float64 is float64 throughout, and no parameter
    asks for a gradient. Layers that are the identity at inference (Dropout) are kept.

    Parameters
    ----------
    layers : sequence of Layer
    dtype : torch.dtype
        float32 by default.

    Raises
    ------
    GraphError
        A layer is invalid.
    """
    import torch
    from norse.torch import SequentialState

    problems = [
        f"layer {n}: {problem}" for n, layer in enumerate(layers) for problem in validate_layer(layer)
    ]
    if problems:
        raise GraphError("; ".join(problems))
    chosen = torch.float32 if dtype is None else dtype
    module = SequentialState(*(_module(layer, chosen) for layer in layers))
    return cast("torch.nn.Module", module.requires_grad_(False).eval())


def _module(layer: Layer, dtype: torch.dtype) -> torch.nn.Module:
    import torch

    tensors = {name: torch.tensor(np.asarray(array), dtype=dtype) for name, array in layer.tensors.items()}
    if layer.kind in CELLS:
        return _cell(layer, tensors)
    module = _stateless(layer, tensors)
    if tensors:
        module.load_state_dict(tensors, strict=not layer.kind.startswith("BatchNorm"), assign=True)
    return module


def _stateless(layer: Layer, tensors: dict[str, Any]) -> torch.nn.Module:
    from torch import nn

    if layer.kind == "Linear":
        n_out, n_in = tensors["weight"].shape
        return nn.Linear(n_in, n_out, bias="bias" in tensors, device="meta")
    if layer.kind in ("Conv1d", "Conv2d"):
        kernel, stride, padding, dilation, groups = conv_geometry(layer)
        c_out, c_in = tensors["weight"].shape[0], tensors["weight"].shape[1] * groups
        conv: Any = nn.Conv1d if layer.kind == "Conv1d" else nn.Conv2d
        options = (stride, padding, dilation, groups, "bias" in tensors)
        return cast("torch.nn.Module", conv(c_in, c_out, kernel, *options, device="meta"))
    if layer.kind in SKIPS:
        return _skip(layer, tensors)
    if layer.kind in ("BatchNorm1d", "BatchNorm2d"):
        return _batch_norm(layer, tensors)
    if "Pool" in layer.kind:
        given: dict[str, Any] = {key: value for key, value in layer.options.items() if key != "name"}
        if layer.kind.startswith("Adaptive"):
            wanted = spread(given["output_size"], axes_of(layer))
            given["output_size"] = tuple(size or None for size in wanted)
        return cast("torch.nn.Module", getattr(nn, layer.kind)(**given))
    if layer.kind == "Flatten":
        return nn.Flatten(cast("int", option(layer, "start_dim")), cast("int", option(layer, "end_dim")))
    return nn.Dropout(cast("float", option(layer, "p")))


def _skip(layer: Layer, tensors: dict[str, Any]) -> torch.nn.Module:
    from sne_deploy.frontend.norse.skips import SKIP_CLASSES

    make, passed = SKIP_CLASSES[layer.kind], over(layer)
    n_out, n_in = tensors["weight"].shape[:2]
    if layer.kind == "SkipLinear":
        return cast("torch.nn.Module", make(n_in, n_out, over=passed, device="meta"))
    kernel, stride, padding, dilation, groups = conv_geometry(layer)
    options = (stride, padding, dilation, groups)
    made = make(n_in * groups, n_out, kernel, *options, over=passed, device="meta")
    return cast("torch.nn.Module", made)


def _batch_norm(layer: Layer, tensors: dict[str, Any]) -> torch.nn.Module:
    import torch

    mean = tensors["running_mean"]
    tensors.setdefault("weight", torch.ones_like(mean))
    tensors.setdefault("bias", torch.zeros_like(mean))
    norm: Any = torch.nn.BatchNorm1d if layer.kind == "BatchNorm1d" else torch.nn.BatchNorm2d
    return cast("torch.nn.Module", norm(len(mean), eps=option(layer, "eps"), dtype=mean.dtype))


def _cell(layer: Layer, tensors: dict[str, Any]) -> torch.nn.Module:
    import torch

    from sne_deploy.frontend.norse.cells import CELL_CLASSES, parameters_of

    make, dt = CELL_CLASSES[layer.kind], cast("float", option(layer, "dt"))
    weights = {name: tensors.pop(name) for name in ("input_weights", "recurrent_weights") if name in tensors}
    if LAYER_KINDS[layer.kind].spiking:
        dtype = tensors["v_th"].dtype
        tensors.setdefault("alpha", torch.tensor(100.0, dtype=dtype))
    names = {name: str(layer.options[name]) for name in ("method", "reset_method") if name in layer.options}
    parameters = parameters_of(CELLS[layer.kind], tensors, **names)
    if not weights:
        return cast("torch.nn.Module", make(parameters, dt=dt))
    n_out, n_in = weights["input_weights"].shape
    cell = make(
        n_in,
        n_out,
        parameters,
        **{name: torch.nn.Parameter(array) for name, array in weights.items()},
        autapses=bool(option(layer, "autapses")),
        dt=dt,
    )
    return cast("torch.nn.Module", cell)
