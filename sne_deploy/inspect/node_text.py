"""A NIR node in a few words: its parameters in the student's units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.neuron_nodes import NEURONS, integrates
from sne_deploy.frontend.nir.primitives import Kind, kind_of, parameters_of
from sne_deploy.inspect.numbers import in_range, number, seconds, sizes
from sne_deploy.inspect.picture import BoxKind
from sne_deploy.inspect.views import range_of
from sne_deploy.neurons.resets import reset_of

_BOXES: dict[Kind | None, BoxKind] = {"input": "port", "output": "port", "map": "map", "delay": "delay"}


def box_kind(node: object) -> BoxKind:
    """What a picture shows a node as."""
    if integrates(node):
        return "readout"
    kind = kind_of(node)
    return "neurons" if kind == "neurons" else _BOXES.get(kind, "unknown")


def node_detail(name: str, node: Any) -> str:
    """The node's parameters; nothing for types that have none, or that are unknown."""
    describe = _DETAILS.get(type(node), _neuron if type(node) in NEURONS else None)
    return describe(name, node) if describe else ""


def stored_numbers(node: Any) -> int:
    """Numbers that a node stores: all of a weight's, one of a parameter that all neurons share."""
    matrices = ("weight", "bias")
    found = sum(np.size(getattr(node, field)) for field in matrices if _stored(node, field))
    found += sum(_distinct(getattr(node, field)) for field in parameters_of(node))
    return int(found)


def _stored(node: Any, field: str) -> bool:
    """A convolution without bias holds zeros, since NIR's has no other way to say so."""
    if field == "bias" and hasattr(node, field) and isinstance(node, (nir.Conv1d, nir.Conv2d)):
        return bool(np.any(node.bias))
    return hasattr(node, field)


def _distinct(value: Any) -> int:
    flat = np.asarray(value).reshape(-1)
    return 1 if bool(np.all(flat == flat[0])) else int(flat.size)


def _times(node: Any, *fields: str) -> list[str]:
    return [f"{field} {in_range(range_of(getattr(node, field)), seconds)}" for field in fields]


def _firing(name: str, node: Any) -> list[str]:
    parts = [f"v_th {in_range(range_of(node.v_threshold), number)}"]
    try:
        reset = reset_of(name, node)
    except GraphError:
        return [*parts, "unknown reset"]
    if reset.mode == "none":
        return [*parts, "no reset"]
    what = f"to {in_range(range_of(node.v_reset), number)}" if reset.mode == "value" else "by v_th"
    return [*parts, f"reset {what}{' a step later' if reset.delayed else ''}"]


def _neuron(name: str, node: Any) -> str:
    model, row = NEURONS[type(node)]
    own = [
        f"{field} {in_range(range_of(getattr(node, field)), number)}"
        for field in row.fields
        if field in model.own
    ]
    return ", ".join([*_times(node, *row.times), *own, *(_firing(name, node) if row.fires else [])])


def _threshold(_name: str, node: Any) -> str:
    return f"spike above {in_range(range_of(node.threshold), number)}"


def _delay(_name: str, node: Any) -> str:
    return in_range(range_of(node.delay), seconds)


def _matrix(_name: str, node: Any) -> str:
    n_out, n_in = np.shape(node.weight)
    return f"{n_in:,} -> {n_out:,}"


def _scale(_name: str, node: Any) -> str:
    return f"by {in_range(range_of(node.scale), number)}"


def _conv(_name: str, node: Any) -> str:
    kernel = sizes(np.shape(node.weight)[2:])
    parts = [kernel, *_geometry(node, {"stride": 1, "padding": 0, "dilation": 1})]
    groups = int(np.asarray(node.groups).reshape(-1)[0])
    return ", ".join([*parts, *([f"{groups} groups"] if groups != 1 else [])])


def _pool(_name: str, node: Any) -> str:
    return ", ".join([sizes(node.kernel_size), *_geometry(node, {"stride": 0, "padding": 0})])


def _geometry(node: Any, usual: dict[str, int]) -> list[str]:
    """Fields that differ from the usual."""
    parts = []
    for field, plain in usual.items():
        value = getattr(node, field)
        if isinstance(value, str):
            parts.append(f"{field} {value}")
        elif np.any(np.asarray(value) != plain):
            parts.append(f"{field} {sizes(value, short=True)}")
    return parts


_DETAILS: dict[type, Callable[[str, Any], str]] = {
    nir.Threshold: _threshold,
    nir.Delay: _delay,
    nir.Affine: _matrix,
    nir.Linear: _matrix,
    nir.Scale: _scale,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.AvgPool2d: _pool,
    nir.SumPool2d: _pool,
}
