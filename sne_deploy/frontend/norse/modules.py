"""Live torch and Norse modules as layers, and back. Modules are read, never changed.

A network is either a stack of cells that sees one step [B, ...], or a time-first network [T, B, ...] of
Norse's layer versions (``LIF``, ``LI``, ``IAF``, ``LIFRecurrent``) and ``Lift``; both become the same layers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.encoders import encoder_problem
from sne_deploy.frontend.norse.reading import CELL_OF_LAYER, RefusedError, is_cell, is_known, read_layers
from sne_deploy.frontend.norse.refusals import reason_of
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.registry import validate_layer

if TYPE_CHECKING:
    import torch

    from sne_deploy.frontend.norse.walking import Found

_PER_STEP_ONLY = ("Conv", "BatchNorm", "AvgPool", "MaxPool", "AdaptiveAvgPool")
_MODULES = {"lifted_module", "module", "_orig_mod"}


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
    from sne_deploy.frontend.norse.copies import current
    from sne_deploy.frontend.norse.walking import kind_of, walk

    found = list(walk(current(module)))
    time_first = any(leaf.lifted or kind_of(leaf.module) in CELL_OF_LAYER for leaf in found)
    problems: list[str] = []
    layers = [layer for leaf in found for layer in layers_of(leaf, problems, time_first=time_first)]
    problems += misplaced(found)
    if not layers and not problems:
        problems.append("the module holds no layers")
    if problems:
        raise UnsupportedError("cannot convert the module", problems)
    return tuple(layers)


def layers_of(leaf: Found, problems: list[str], *, time_first: bool = False) -> tuple[Layer, ...]:
    """The layers of one module; what is wrong with it is added to ``problems``."""
    try:
        read = _layers(leaf, time_first)
    except RefusedError as refusal:
        problems.append(f"{leaf.label}: {refusal}")
        return ()
    problems += [f"{leaf.label}: {problem}" for layer in read for problem in validate_layer(layer)]
    return read


def misplaced(found: Sequence[Found]) -> list[str]:
    """Encoder modules that are not where they may be, of modules in the order in which they run."""
    from sne_deploy.frontend.norse.walking import kind_of

    kinds = [kind_of(leaf.module) for leaf in found]
    checked = ((leaf, encoder_problem(kinds[index], kinds[:index])) for index, leaf in enumerate(found))
    return [f"{leaf.label}: {problem}" for leaf, problem in checked if problem]


def _layers(leaf: Found, time_first: bool) -> tuple[Layer, ...]:
    """The layers of one module; the last of them has its name."""
    from sne_deploy.frontend.norse.walking import kind_of

    kind = kind_of(leaf.module)
    if kind is None or not is_known(kind):
        raise RefusedError(reason_of(kind or ""))
    if time_first:
        _check_time_first(leaf, kind)
    layers = read_layers(kind, leaf.module)
    if kind == "Flatten" and time_first and not leaf.lifted:
        layers = tuple(_flatten_per_step(layer) for layer in layers)
    name = _node_name(leaf.path)
    if not (name and layers):
        return layers
    names = (*(f"{name}_input" for _ in layers[1:]), name)
    return tuple(
        Layer(layer.kind, {**layer.options, "name": given}, layer.tensors)
        for given, layer in zip(names, layers, strict=True)
    )


def _check_time_first(leaf: Found, kind: str) -> None:
    if leaf.lifted and kind in CELL_OF_LAYER:
        raise RefusedError(
            f"a {kind} in a Lift would see no time axis; take it out, or use {CELL_OF_LAYER[kind]}"
        )
    if leaf.lifted:
        return
    if kind.startswith(_PER_STEP_ONLY):
        raise RefusedError("it would get the time axis of [T, B, ...]; wrap it in norse.torch.Lift")
    if is_cell(kind):
        raise RefusedError(
            "cells and time-first layers are mixed; use the layer version, or wrap it in norse.torch.Lift"
        )


def _flatten_per_step(layer: Layer) -> Layer:
    dims = {name: int(layer.options[name]) for name in ("start_dim", "end_dim")}  # type: ignore[arg-type]  # torch's own ints
    if 0 <= dims["start_dim"] < 2 or 0 <= dims["end_dim"] < 2:
        raise RefusedError(
            f"start_dim={dims['start_dim']} would flatten time or batch of [T, B, ...]; use start_dim=2"
        )
    return Layer("Flatten", {name: dim - 1 if dim > 0 else dim for name, dim in dims.items()})


def _node_name(path: str) -> str | None:
    parts = [part for part in path.split(".") if part not in _MODULES]
    if not parts or parts[-1].isdigit():
        return None
    return re.sub(r"[^A-Za-z0-9_]", "_", "_".join(part for part in parts if not part.isdigit()))[:100] or None
