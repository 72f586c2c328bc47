"""Live torch and Norse modules as layers, and back. Modules are read, never changed.

A network is either a stack of cells that sees one step [B, ...], or a time-first network [T, B, ...] of
Norse's layer versions (``LIF``, ``LI``, ``IAF``, ``LIFRecurrent``) and ``Lift``; both become the same layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.build import module_from_layers, run_module
from sne_deploy.model.ensemble import Layer, OptionValue
from sne_deploy.model.layers.geometry import same_padding
from sne_deploy.model.layers.registry import LAYER_KINDS, validate_layer
from sne_deploy.neurons.table import CELLS, Derived

if TYPE_CHECKING:
    import torch

__all__ = ["layers_from_module", "module_from_layers", "run_module"]

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
    reader = _READERS.get(cell, _read_cell)
    layer = reader(cell, leaf.module)
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


def _read_linear(kind: str, module: Any) -> Layer:
    return Layer(kind, {}, _arrays(module, "weight", "bias"))


def _read_conv(kind: str, module: Any) -> Layer:
    padding: Any = module.padding
    if module.padding_mode != "zeros":
        raise _RefusedError(f"padding_mode={module.padding_mode!r} is not supported; use 'zeros'")
    if padding == "valid":
        padding = (0,) * len(module.kernel_size)
    elif padding == "same":
        padding = same_padding(module.kernel_size, module.dilation)
        if padding is None:
            raise _RefusedError(
                f"padding='same' with kernel_size={module.kernel_size} and dilation={module.dilation} pads "
                "one side more than the other; use an odd kernel or give the padding in numbers"
            )
    options: dict[str, OptionValue] = {
        "stride": _tuple(module.stride),
        "padding": _tuple(padding),
        "dilation": _tuple(module.dilation),
        "groups": int(module.groups),
    }
    return Layer(kind, options, _arrays(module, "weight", "bias"))


def _read_pool(kind: str, module: Any) -> Layer:
    padding, kernel = _tuple(module.padding, 2), _tuple(module.kernel_size, 2)
    if module.ceil_mode:
        raise _RefusedError("ceil_mode=True is not supported; pad the input instead")
    if module.divisor_override is not None:
        raise _RefusedError(
            f"divisor_override={module.divisor_override} is not supported; scale the next weights"
        )
    if any(padding) and not module.count_include_pad:
        raise _RefusedError(
            "count_include_pad=False with padding is not supported; NIR's average divides by the window"
        )
    stride = kernel if module.stride is None else _tuple(module.stride, 2)
    return Layer(kind, {"kernel_size": kernel, "stride": stride, "padding": padding})


def _read_flatten(kind: str, module: Any) -> Layer:
    return Layer(kind, {"start_dim": int(module.start_dim), "end_dim": int(module.end_dim)})


def _read_batch_norm(kind: str, module: Any) -> Layer:
    if module.running_mean is None or module.running_var is None:
        raise _RefusedError("track_running_stats=False keeps no statistics for inference; train with True")
    tensors = _arrays(module, "running_mean", "running_var", "weight", "bias")
    return Layer(kind, {"eps": float(module.eps)}, tensors)


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


_READERS: dict[str, Callable[[str, Any], Layer]] = {
    "Linear": _read_linear,
    "Conv1d": _read_conv,
    "Conv2d": _read_conv,
    "AvgPool2d": _read_pool,
    "Flatten": _read_flatten,
    "BatchNorm1d": _read_batch_norm,
    "BatchNorm2d": _read_batch_norm,
}
