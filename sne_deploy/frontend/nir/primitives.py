"""The closed table of NIR node types: which fields each has in a file, and what they may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.broadcast import PARAMETERS, as_array
from sne_deploy.frontend.nir.neuron_nodes import NEURONS
from sne_deploy.model.layers.geometry import check_size
from sne_deploy.neurons.table import Derived

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = npt.NDArray[Any]
MAX_INT = 2**31 - 1
MAX_FLOAT = 1e40
"""Beyond every float32, and products of several such are still numbers."""
EXACT = 2**53
"""Integers up to here are float64 numbers."""


@dataclass(frozen=True)
class Field:
    """What a field holds: "floats" of so many axes, "ints" of one of the ``sizes``, a "shape", or "padding".

    Integers and bools are taken for floats where they are exact: tools write ``np.ones(3, int)`` for r.
    """

    kind: str = "floats"
    ndim: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    optional: bool = False
    positive: bool = False
    zeros: bool = False


@dataclass(frozen=True)
class NodeType:
    """A class of the ``nir`` package and its fields."""

    make: Any
    fields: Mapping[str, Field]


_ANY = Field()
_INT = Field("ints", sizes=(0,))
_PAIR = Field("ints", sizes=(0, 2))
_SHAPE = Field("shape", optional=True)
_OF_NEURONS = {
    **dict.fromkeys(("tau", "tau_mem", "tau_syn"), Field(positive=True)),
    **dict.fromkeys(("v_reset", "w_in"), Field(optional=True)),
}
"""Fields of neurons that may not hold whatever they like."""
_MATRIX, _VECTOR = Field(ndim=(2,)), Field(ndim=(1,))
_POOL = {"kernel_size": _PAIR, "stride": _PAIR, "padding": _PAIR}


def _conv(axes: int) -> dict[str, Field]:
    entries = Field("ints", sizes=(0, axes))
    return {
        "input_shape": Field("ints", sizes=(0, axes), optional=True),
        "weight": Field(ndim=(axes + 2,)),
        "stride": entries,
        "padding": Field("padding", sizes=(0, axes)),
        "dilation": entries,
        "groups": _INT,
        "bias": _VECTOR,
    }


_MAPS = {
    "Input": NodeType(nir.Input, {"shape": _SHAPE}),
    "Output": NodeType(nir.Output, {"shape": _SHAPE}),
    "Affine": NodeType(nir.Affine, {"weight": _MATRIX, "bias": _VECTOR}),
    "Linear": NodeType(nir.Linear, {"weight": _MATRIX}),
    "Scale": NodeType(nir.Scale, {"scale": _ANY}),
    "Conv1d": NodeType(nir.Conv1d, _conv(1)),
    "Conv2d": NodeType(nir.Conv2d, _conv(2)),
    "SumPool2d": NodeType(nir.SumPool2d, _POOL),
    "AvgPool2d": NodeType(nir.AvgPool2d, _POOL),
    "Flatten": NodeType(
        nir.Flatten,
        {"input_type": Field("shape", optional=True, zeros=True), "start_dim": _INT, "end_dim": _INT},
    ),
    "Delay": NodeType(nir.Delay, {"delay": _ANY}),
}
NODE_TYPES: Mapping[str, NodeType] = Derived(
    lambda _: {
        **_MAPS,
        **{
            node.name: NodeType(kind, {name: _OF_NEURONS.get(name, _ANY) for name in node.fields})
            for kind, (_, node) in NEURONS.items()
        },
    }
)
_RENAMED = {"Input": ("shape", "input_type"), "Output": ("shape", "output_type")}


def build_node(name: str, stored: object) -> Any:
    """Make a node of what a file holds.

    Parameters
    ----------
    name : str
    stored : tree of plain data
        The node's group: ``type``, its fields, and ``metadata`` where it has some.

    Raises
    ------
    GraphError
        Unknown type, or a missing, unknown or wrong field; names the node and the field.
    """
    if not isinstance(stored, dict):
        raise GraphError(f"node {name!r} is no group")
    kind = stored.get("type")
    if not isinstance(kind, str):
        raise GraphError(f"node {name!r}: field 'type' is missing or no string")
    if kind not in NODE_TYPES:
        raise GraphError(
            f"node {name!r}: type {kind[:100]!r} is unknown; known types: {', '.join(NODE_TYPES)}, NIRGraph"
        )
    where = f"node {name!r} ({kind})"
    table = NODE_TYPES[kind].fields
    unknown = sorted(set(stored) - {*table, "type", "metadata"})
    if unknown:
        raise GraphError(f"{where}: field {unknown[0]!r} is unknown; known: {', '.join(table)}")
    values: dict[str, Any] = {}
    for field, rule in table.items():
        if field in stored:
            values[field] = _value(where, field, rule, stored[field])
        elif not rule.optional:
            remedy = "; write zeros, or a Linear node" if field == "bias" else ""
            raise GraphError(f"{where}: field {field!r} is missing{remedy}")
    if kind.startswith("Conv"):
        values.setdefault("input_shape", None)
    values = _of_one_shape(NODE_TYPES[kind].make, values)
    metadata = stored.get("metadata", {})
    if not isinstance(metadata, dict):
        raise GraphError(f"{where}: field 'metadata' must be a group")
    return _make(where, kind, values, plain_metadata(metadata))


def _of_one_shape(make: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Parameters of neurons, broadcast to one shape where they can be: the ``nir`` package wants that."""
    names = [name for name in PARAMETERS.get(make, ()) if name in values]
    try:
        shape = np.broadcast_shapes(*(np.shape(values[name]) for name in names))
        check_size(shape)
    except ValueError:
        return values  # which the package refuses
    return {**values, **{name: np.array(np.broadcast_to(values[name], shape)) for name in names}}


def _make(where: str, kind: str, values: dict[str, Any], metadata: dict[str, Any]) -> Any:
    if kind in _RENAMED:
        stored, argument = _RENAMED[kind]
        values = {argument: values.get(stored)}
    elif kind == "Flatten":
        values.setdefault("input_type", None)
    try:
        return NODE_TYPES[kind].make(**values, metadata=metadata)
    except (AssertionError, ValueError, TypeError, IndexError) as error:
        raise GraphError(f"{where}: {error}") from None


def node_fields(name: str, node: Any) -> dict[str, Any]:
    """What a file holds of a node, its metadata aside: strings and arrays.

    Raises
    ------
    GraphError
        The type is not in the table, or a field holds what could not be read back.
    """
    kind = type(node).__name__
    if kind not in NODE_TYPES or type(node) is not NODE_TYPES[kind].make:
        raise GraphError(f"node {name!r}: type {kind} cannot be stored; known types: {', '.join(NODE_TYPES)}")
    stored: dict[str, Any] = {"type": kind}
    for field, rule in NODE_TYPES[kind].fields.items():
        if kind in _RENAMED or field == "input_type":
            value = next(iter(node.input_type.values()))
        else:
            value = getattr(node, field)
        if value is not None:
            stored[field] = value if isinstance(value, str) else as_array(value)
            _value(f"node {name!r} ({kind})", field, rule, stored[field])
        elif not rule.optional:
            raise GraphError(f"node {name!r} ({kind}): field {field!r} is missing")
    return stored


def _value(where: str, field: str, rule: Field, value: object) -> Any:
    if rule.kind == "padding" and isinstance(value, str):
        if value not in ("same", "valid"):
            raise GraphError(f"{where}: field {field!r} is {value[:100]!r}, must be numbers, same or valid")
        return value
    if not isinstance(value, np.ndarray):
        raise GraphError(f"{where}: field {field!r} must hold numbers")
    if rule.kind == "floats":
        return _floats(where, field, rule, value)
    if value.dtype.kind not in "iu":
        raise GraphError(f"{where}: field {field!r} has dtype {value.dtype}, must be integers")
    if value.size > 8:
        raise GraphError(f"{where}: field {field!r} holds {value.size} numbers, must be at most 8")
    if any(abs(int(n)) > MAX_INT for n in value.reshape(-1)):
        raise GraphError(f"{where}: field {field!r} holds values beyond {MAX_INT}")
    return _shape(where, field, rule, value) if rule.kind == "shape" else _ints(where, field, rule, value)


def _floats(where: str, field: str, rule: Field, value: Array) -> Array:
    if value.dtype.kind not in "fiub":
        raise GraphError(f"{where}: field {field!r} has dtype {value.dtype}, must be numbers")
    if value.dtype.kind in "iu" and value.size and max(abs(int(value.min())), abs(int(value.max()))) > EXACT:
        raise GraphError(f"{where}: field {field!r} holds integers beyond 2^53, which float64 rounds")
    if rule.ndim and value.ndim not in rule.ndim:
        raise GraphError(f"{where}: field {field!r} has shape {value.shape}, must have {rule.ndim[0]} axes")
    if value.size == 0 or not np.isfinite(value).all():
        remedy = "; neurons without a leak are an IF node with r = 1 / dt" if rule.positive else ""
        raise GraphError(f"{where}: field {field!r} is empty or holds NaN or infinite values{remedy}")
    if max(-float(value.min()), float(value.max())) > MAX_FLOAT:
        raise GraphError(
            f"{where}: field {field!r} holds values beyond {MAX_FLOAT:g}, whose squares overflow"
        )
    if rule.positive and not (value > 0).all():
        raise GraphError(f"{where}: field {field!r} holds values that are not above 0 s")
    return value


def _shape(where: str, field: str, rule: Field, value: Array) -> Array:
    shape = value.astype(np.int64).reshape(-1)
    if shape.size == 0 or (shape.min() < 1 and (not rule.zeros or shape.any())):
        raise GraphError(f"{where}: field {field!r} is {shape.tolist()}, must be 1 to 8 sizes above 0")
    return shape


def _ints(where: str, field: str, rule: Field, value: Array) -> Any:
    if value.ndim > 1 or value.shape not in [(n,) if n else () for n in rule.sizes]:
        wanted = " or ".join("one int" if n == 0 else f"{n} ints" for n in rule.sizes)
        raise GraphError(f"{where}: field {field!r} has shape {value.shape}, must be {wanted}")
    return int(value) if value.ndim == 0 else tuple(int(n) for n in value)


def plain_metadata(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it was before it was written: 0-d float64, int64 and bool arrays become Python's own."""
    return {name: _plain(value) for name, value in stored.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return plain_metadata(value)
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype in (np.float64, np.int64, np.bool_):
        return value.item()
    return value
