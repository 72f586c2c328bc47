"""What a field of a node may hold in a file: checked before a node is made of it, and before it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.arrays import EXACT, Array

MAX_INT = 2**31 - 1
MAX_FLOAT = 1e40
"""Beyond every float32, and products of several such are still numbers."""


@dataclass(frozen=True)
class Field:
    """What a field holds: "floats" of ``ndim`` axes, "ints" of one of the ``sizes``, a "shape", or "padding".

    Integers and bools are taken for floats where they are exact: tools write ``np.ones(3, int)`` for r.
    ``infinite`` floats may be positive infinity.
    ``argument`` is the constructor's name of the field, where it is not the file's.
    """

    kind: str = "floats"
    ndim: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    optional: bool = False
    positive: bool = False
    zeros: bool = False
    infinite: bool = False
    argument: str = ""


def checked(where: str, field: str, rule: Field, value: object) -> Any:
    """A field's value, with ints and tuples of ints as Python's own.

    Raises
    ------
    GraphError
        It holds something else than ``rule`` says; names the node (``where``) and the field.
    """
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
    finite = np.minimum(value.astype(np.float64), MAX_FLOAT) if rule.infinite else value
    if value.size == 0 or not np.isfinite(finite).all():
        remedy = "; neurons without a leak are an IF node with r = 1 / dt" if rule.positive else ""
        raise GraphError(f"{where}: field {field!r} is empty or holds NaN or infinite values{remedy}")
    if max(-float(finite.min()), float(finite.max())) > MAX_FLOAT:
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
    found = int(value) if value.ndim == 0 else tuple(int(n) for n in value)
    if rule.positive and (value < 1).any():
        raise GraphError(f"{where}: field {field!r} is {found}, must be at least 1")
    return found
