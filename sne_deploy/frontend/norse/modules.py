"""Live torch and Norse modules as layers, and back. Modules are read, never changed.

A network is either a stack of cells that sees one step [B, ...], or a time-first network [T, B, ...] of
Norse's layer versions (``LIF``, ``LI``, ``IAF``, ``LIFRecurrent``) and ``Lift``; both become the same layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import UnsupportedError
from sne_deploy.model.ensemble import Layer, OptionValue
from sne_deploy.model.layers.geometry import same_padding
from sne_deploy.model.layers.registry import LAYER_KINDS, validate_layer
from sne_deploy.neurons.table import CELLS, Derived

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]

CELL_OF_LAYER: Mapping[str, str] = Derived(
    lambda models: {cell.layer: cell.kind for model in models for cell in model.cells if cell.layer}
)
"""Norse's layers over time, and their cells."""
_DROPPED = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "Identity")
_PER_STEP_ONLY = ("Conv1d", "Conv2d", "BatchNorm1d", "BatchNorm2d", "AvgPool2d")
_MODULES = {"lifted_module"}


@dataclass(frozen=True)
class _Found:
    """A module without children of its own, and where it is."""

    path: str
    module: Any
    lifted: bool


class _RefusedError(Exception):
    """Why one module cannot become a layer."""


def layers_from_module(module: torch.nn.Module) -> tuple[Layer, ...]:
    """Read a live module, as it is at inference.

    Containers are ``nn.Sequential``, ``SequentialState`` and ``Lift``, nested as you like. Dropout and
    ``nn.Identity`` are dropped; layer versions become cells.

    Parameters
    ----------
    module : torch.nn.Module
        It and its tensors are left as they are; tensors are copied.

    Raises
    ------
    UnsupportedError
        Lists every module that cannot become a layer, by its path.
    """
    found = list(_walk(module, "", False))
    time_first = any(leaf.lifted or _kind(leaf.module) in CELL_OF_LAYER for leaf in found)
    layers: list[Layer] = []
    problems: list[str] = []
    for leaf in found:
        label = f"{leaf.path or 'the module itself'} ({type(leaf.module).__name__})"
        try:
            layer = _layer(leaf, time_first)
        except _RefusedError as refusal:
            problems.append(f"{label}: {refusal}")
            continue
        if layer is not None:
            problems += [f"{label}: {problem}" for problem in validate_layer(layer)]
            layers.append(layer)
    if not layers and not problems:
        problems.append("the module holds no layers")
    if problems:
        raise UnsupportedError("cannot convert the module", problems)
    return tuple(layers)


def _walk(module: Any, path: str, lifted: bool) -> Iterator[_Found]:
    kind = _kind(module)
    if kind == "Lift":
        if lifted:
            yield _Found(path, module, lifted)
        else:
            yield from _walk(module.lifted_module, f"{path}.lifted_module".lstrip("."), True)
    elif kind in ("Sequential", "SequentialState"):
        # not named_children(), which leaves out a module's second appearance
        for name, child in zip(module._modules, module, strict=True):  # noqa: SLF001  # torch has no public way
            yield from _walk(child, f"{path}.{name}".lstrip("."), lifted)
    else:
        yield _Found(path, module, lifted)


def _kind(module: Any) -> str | None:
    """The name of exactly this torch or Norse class; None for a subclass or anything else."""
    import norse.torch
    import torch

    from sne_deploy.frontend.norse.cells import CELL_CLASSES

    name = type(module).__name__
    known = (getattr(torch.nn, name, None), getattr(norse.torch, name, None), CELL_CLASSES.get(name))
    return name if type(module) in known else None


def _layer(leaf: _Found, time_first: bool) -> Layer | None:
    kind = _kind(leaf.module)
    if kind in _DROPPED:
        return None
    cell = CELL_OF_LAYER.get(kind or "", kind)
    if cell is None or cell not in LAYER_KINDS:
        raise _RefusedError(
            "no such layer is supported; supported: " + ", ".join((*LAYER_KINDS, *CELL_OF_LAYER))
        )
    if time_first:
        _check_time_first(leaf, str(kind))
    layer = (_read_cell if cell in CELLS else _read)(cell, leaf.module)
    if cell == "Flatten" and time_first and not leaf.lifted:
        layer = _flatten_per_step(layer)
    name = _node_name(leaf.path)
    return Layer(cell, {**layer.options, "name": name}, layer.tensors) if name else layer


def _check_time_first(leaf: _Found, kind: str) -> None:
    if leaf.lifted and kind in CELL_OF_LAYER:
        raise _RefusedError(
            f"a {kind} in a Lift would see no time axis; take it out, or use {CELL_OF_LAYER[kind]}"
        )
    if leaf.lifted:
        return
    if kind in _PER_STEP_ONLY:
        raise _RefusedError("it would get the time axis of [T, B, ...]; wrap it in norse.torch.Lift")
    if LAYER_KINDS.get(kind) is not None and LAYER_KINDS[kind].neuron:
        raise _RefusedError(
            "cells and time-first layers are mixed; use the layer version, or wrap it in norse.torch.Lift"
        )


def _flatten_per_step(layer: Layer) -> Layer:
    dims = {name: int(layer.options[name]) for name in ("start_dim", "end_dim")}  # type: ignore[arg-type]  # torch's own ints
    if 0 <= dims["start_dim"] < 2 or 0 <= dims["end_dim"] < 2:
        raise _RefusedError(
            f"start_dim={dims['start_dim']} would flatten time or batch of [T, B, ...]; use start_dim=2"
        )
    return Layer("Flatten", {name: dim - 1 if dim > 0 else dim for name, dim in dims.items()})


def _node_name(path: str) -> str | None:
    parts = [part for part in path.split(".") if part not in _MODULES]
    if not parts or parts[-1].isdigit():
        return None
    return re.sub(r"[^A-Za-z0-9_]", "_", "_".join(part for part in parts if not part.isdigit()))[:100] or None


def _array(name: str, value: Any) -> Array:
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_sparse or value.is_quantized or value.dtype not in (torch.float32, torch.float64):
            raise _RefusedError(
                f"{name} has dtype {value.dtype}, must be dense float32 or float64; use module.float()"
            )
        if value.is_meta:
            raise _RefusedError(f"{name} is on the meta device and has no values; load them first")
        return value.detach().cpu().numpy().copy()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return np.array(value, dtype=np.float64)
    raise _RefusedError(f"{name} is a {type(value).__name__}, must be a tensor")


def _arrays(module: Any, *names: str) -> dict[str, Array]:
    values = {name: getattr(module, name) for name in names}
    return {name: _array(name, value) for name, value in values.items() if value is not None}


def _read(kind: str, module: Any) -> Layer:
    """A layer without state: its options and tensors are the module's attributes of the same names."""
    for name, allowed, remedy in _ONLY:
        if getattr(module, name, allowed) != allowed:
            raise _RefusedError(f"{name}={getattr(module, name)!r} is not supported; {remedy}")
    if kind == "AvgPool2d" and any(_tuple(module.padding)) and not module.count_include_pad:
        raise _RefusedError(
            "count_include_pad=False with padding is not supported; NIR's average divides by the window"
        )
    options = {name: _option(module, name) for name in _OPTIONS.get(kind, ())}
    return Layer(kind, options, _arrays(module, *LAYER_KINDS[kind].tensors))


def _option(module: Any, name: str) -> OptionValue:
    value: Any = getattr(module, name)
    if value == "valid":
        return (0,) * len(module.kernel_size)
    if value == "same":
        padding = same_padding(module.kernel_size, module.dilation)
        if padding is None:
            raise _RefusedError(
                f"padding='same' with kernel_size={module.kernel_size} and dilation={module.dilation} pads "
                "one side more than the other; use an odd kernel or give the padding in numbers"
            )
        return _tuple(padding)
    if name == "eps":
        return float(value)
    return int(value) if name in ("groups", "start_dim", "end_dim") else _tuple(value, 2)


def _read_cell(kind: str, module: Any) -> Layer:
    known = LAYER_KINDS[kind]
    tensors = {
        name: _array(name, getattr(module.p, name)) for name in known.tensors if hasattr(module.p, name)
    }
    options: dict[str, OptionValue] = {"dt": float(module.dt)}
    if known.spiking:
        reset = getattr(module.p, "reset_method", None)
        options["method"] = str(module.p.method)
        options["reset_method"] = "reset_value" if reset is None else getattr(reset, "__name__", repr(reset))
    if CELLS[kind].recurrent:
        tensors |= _arrays(module, "input_weights", "recurrent_weights")
        options["autapses"] = bool(module.autapses)
    return Layer(kind, options, tensors)


def _tuple(value: Any, length: int | None = None) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * (length or 1)
    return tuple(int(entry) for entry in value)


_WINDOW = ("stride", "padding", "dilation", "groups")
_OPTIONS = {
    "Conv1d": _WINDOW,
    "Conv2d": _WINDOW,
    "AvgPool2d": ("kernel_size", "stride", "padding"),
    "Flatten": ("start_dim", "end_dim"),
    "BatchNorm1d": ("eps",),
    "BatchNorm2d": ("eps",),
}
_ONLY = (
    ("padding_mode", "zeros", "use 'zeros'"),
    ("ceil_mode", False, "pad the input instead"),
    ("divisor_override", None, "scale the next weights"),
    ("track_running_stats", True, "it keeps no statistics for inference: train with True"),
)
"""Options that have one value here, by torch's names, and what to do about another."""
