"""Nodes as a file holds them: fields and metadata, by the table of primitives."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.arrays import as_array
from sne_deploy.frontend.nir.fields import Field, checked
from sne_deploy.frontend.nir.primitives import PRIMITIVES, Primitive, primitive_of
from sne_deploy.model.layers.geometry import check_size

ASSUMED = "assumed"
"""The metadata ``v_reset`` of a node whose file holds no v_reset: 0 was taken."""


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
    row = PRIMITIVES.get(kind)
    if row is None:
        raise GraphError(
            f"node {name!r}: type {kind[:100]!r} is unknown; known types: {', '.join(PRIMITIVES)}, NIRGraph"
        )
    where = f"node {name!r} ({kind})"
    unknown = sorted(set(stored) - {*row.fields, "type", "metadata"})
    if unknown:
        raise GraphError(f"{where}: field {unknown[0]!r} is unknown; known: {', '.join(row.fields)}")
    values: dict[str, Any] = {}
    for field, rule in row.fields.items():
        if field in stored and not _is_undeclared(rule, stored[field]):
            values[rule.argument or field] = checked(where, field, rule, stored[field])
        elif not rule.optional:
            remedy = "; write zeros, or a Linear node" if field == "bias" else ""
            raise GraphError(f"{where}: field {field!r} is missing{remedy}")
        elif rule.kind != "floats":
            values[rule.argument or field] = None
    metadata = stored.get("metadata", {})
    if not isinstance(metadata, dict):
        raise GraphError(f"{where}: field 'metadata' must be a group")
    if "v_reset" in row.fields and "v_reset" not in stored:
        metadata = {**metadata, "v_reset": ASSUMED}
    try:
        return row.make(**_of_one_shape(row, values), metadata=plain_metadata(metadata))
    except (AssertionError, ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise GraphError(f"{where}: {error}") from None


def with_assumed(node: Any) -> Any:
    """A node in memory whose v_reset is None, as if read from a file without the field."""
    if getattr(node, "v_reset", 0) is not None:
        return node
    made = copy(node)
    made.v_reset = np.zeros_like(as_array(node.v_threshold))
    made.metadata = {**node.metadata, "v_reset": ASSUMED}
    return made


def _is_undeclared(rule: Field, value: object) -> bool:
    """Whether a shape is empty, as exporters leave it that do not know the shape."""
    return (
        rule.kind == "shape"
        and rule.optional
        and not isinstance(value, str)
        and np.size(as_array(value)) == 0
    )


def _of_one_shape(row: Primitive, values: dict[str, Any]) -> dict[str, Any]:
    """Parameters of neurons, broadcast to one shape where they can be: the ``nir`` package wants that."""
    names = [name for name in row.parameters if name in values]
    try:
        shape = np.broadcast_shapes(*(np.shape(values[name]) for name in names))
        check_size(shape)
    except ValueError:
        return values  # which the package refuses
    return {**values, **{name: np.array(np.broadcast_to(values[name], shape)) for name in names}}


def node_fields(name: str, node: Any) -> dict[str, Any]:
    """What a file holds of a node, its metadata aside: strings and arrays.

    Raises
    ------
    GraphError
        The type is not in the table, or a field holds what could not be read back.
    """
    row, kind = primitive_of(node), type(node).__name__
    if row is None:
        raise GraphError(f"node {name!r}: type {kind} cannot be stored; known types: {', '.join(PRIMITIVES)}")
    where = f"node {name!r} ({kind})"
    stored: dict[str, Any] = {"type": kind}
    for field, rule in row.fields.items():
        value = next(iter(node.input_type.values())) if rule.kind == "shape" else getattr(node, field)
        if value is not None and not _is_undeclared(rule, value):
            stored[field] = value if isinstance(value, str) else as_array(value)
            checked(where, field, rule, stored[field])
        elif not rule.optional:
            raise GraphError(f"{where}: field {field!r} is missing")
    return stored


def plain_metadata(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it was before it was written: 0-d float64, int64 and bool arrays become Python's own."""
    return {name: _plain(value) for name, value in stored.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return plain_metadata(value)
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype in (np.float64, np.int64, np.bool_):
        return value.item()
    return value
