"""Frozen dataclasses as plain JSON values and named arrays, and back, by the types of their fields.

An array without axes stands where it is used, with its dtype; every other one is stored under the path of its
field, such as ``programs/0/synapses/2/weights/kernel``. Nothing but the classes that the fields name is made,
and everything is checked against its field's type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import MappingProxyType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import CheckpointError
from sne_deploy.ir.program import Program
from sne_deploy.model.layers.geometry import check_size

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

ELSEWHERE: Mapping[str, bool] = MappingProxyType({"elsewhere": True})
"""Metadata of a field that is stored otherwise, or follows from something else: it comes back as None."""
LEFT_OUT: Mapping[type, tuple[str, ...]] = {Program: ("graph", "formats")}
"""Such fields of classes from which this file is out of reach."""
_CSR = ("data", "indices", "indptr")
_DTYPES = ("int8", "int16", "int32", "int64", "float32", "float64")
_INFINITE = {"inf": math.inf, "-inf": -math.inf}


def encode(value: Any, where: str, arrays: Arrays) -> Any:
    """The plain value of a field, with its arrays put into ``arrays``."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = cast("type", type(value))
        parts = {name: encode(getattr(value, name), f"{where}/{name}", arrays) for name in _names(kind)}
        return {"form": kind.__name__, **parts}
    if isinstance(value, Mapping):
        return {str(name): encode(part, f"{where}/{name}", arrays) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(part, f"{where}/{index}", arrays) for index, part in enumerate(value)]
    if isinstance(value, sparse.csr_matrix):
        parts = {name: encode(getattr(value, name), f"{where}/{name}", arrays) for name in _CSR}
        return {**parts, "shape": [int(size) for size in value.shape]}
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return {"dtype": value.dtype.name, "value": encode(value.item(), where, arrays)}
        arrays[where] = value
        return {"array": where}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def decode(kind: Any, plain: Any, where: str, arrays: Mapping[str, Array]) -> Any:
    """The value of a field of type ``kind``.

    Raises
    ------
    CheckpointError
        It is none, or an array that it names is missing.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _decode_union(parts, plain, where, arrays)
    if origin is Literal:
        return _checked(plain, plain in parts, where, f"one of {', '.join(map(str, parts))}")
    if origin is tuple:
        return _decode_tuple(parts, plain, where, arrays)
    if origin is np.ndarray:
        return _decode_array(plain, where, arrays)
    if origin is not None:  # a mapping
        _checked(plain, isinstance(plain, dict), where, "an object")
        return {name: decode(parts[1], value, f"{where}/{name}", arrays) for name, value in plain.items()}
    if kind is sparse.csr_matrix:
        return _decode_csr(plain, where, arrays)
    if is_dataclass(kind):
        return _decode_dataclass(cast("type", kind), plain, where, arrays)
    if kind is float:
        return _decode_float(plain, where)
    return plain if kind is Any else _checked(plain, type(plain) is kind, where, f"of type {kind.__name__}")


def _decode_float(plain: Any, where: str) -> float:
    number: Any = _INFINITE.get(plain, plain) if isinstance(plain, str) else plain
    _checked(plain, type(number) in (int, float) and abs(number) <= math.inf, where, "a number")
    try:
        return float(number)
    except OverflowError:
        raise CheckpointError(
            f"{where}: a number of hundreds of digits; give one that a float64 holds"
        ) from None


def _decode_dataclass(kind: type, plain: Any, where: str, arrays: Mapping[str, Array]) -> Any:
    right = isinstance(plain, dict) and plain.get("form") == kind.__name__
    _checked(plain, right, where, f"a {kind.__name__}")
    hints, known = _hints(kind), _names(kind)
    for name in plain:
        _checked(name, name == "form" or name in known, where, "a known field")
    values = {
        name: decode(hints[name], plain[name], f"{where}/{name}", arrays) for name in known if name in plain
    }
    missing = sorted(_needed(kind) - {*values})
    if missing:
        raise CheckpointError(f"{where}: fields are missing: {', '.join(missing)}")
    return kind(**values, **dict.fromkeys(_elsewhere(kind)))


def _decode_union(kinds: tuple[Any, ...], plain: Any, where: str, arrays: Mapping[str, Array]) -> Any:
    if plain is None and type(None) in kinds:
        return None
    choices = [kind for kind in kinds if kind is not type(None)]
    if float in choices:  # one number, or an array of them
        return decode(Array if isinstance(plain, dict) else float, plain, where, arrays)
    if len(choices) > 1:  # classes, by the name of the one that is stored
        form = plain.get("form") if isinstance(plain, dict) else None
        choices = [kind for kind in choices if getattr(kind, "__name__", None) == form]
    _checked(plain, bool(choices), where, "one of its kinds")
    return decode(choices[0], plain, where, arrays)


def _decode_tuple(kinds: tuple[Any, ...], plain: Any, where: str, arrays: Mapping[str, Array]) -> Any:
    _checked(plain, isinstance(plain, list), where, "a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(plain)
    _checked(plain, len(kinds) == len(plain), where, f"a list of {len(kinds)}")
    pairs = enumerate(zip(kinds, plain, strict=True))
    return tuple(decode(kind, part, f"{where}/{index}", arrays) for index, (kind, part) in pairs)


def _decode_array(plain: Any, where: str, arrays: Mapping[str, Array]) -> Array:
    _checked(plain, isinstance(plain, dict), where, "an array")
    if "array" in plain:
        name = plain["array"]
        _checked(name, isinstance(name, str) and name in arrays, where, "the name of an array in the file")
        return arrays[name]
    dtype, value = plain.get("dtype"), plain.get("value")
    _checked(dtype, isinstance(dtype, str) and dtype in _DTYPES, where, "a dtype")
    value = decode(float if str(dtype).startswith("float") else int, value, where, arrays)
    try:
        return np.array(value, dtype=dtype)
    except OverflowError:
        raise CheckpointError(f"{where}: {str(value)[:40]} does not fit {dtype}") from None


def _decode_csr(plain: Any, where: str, arrays: Mapping[str, Array]) -> sparse.csr_matrix:
    right = isinstance(plain, dict) and {*plain} == {*_CSR, "shape"}
    _checked(plain, right, where, "a sparse matrix")
    shape = decode(tuple[int, int], plain["shape"], f"{where}/shape", arrays)
    for size in shape:
        _check_size((size,), where)
    parts = tuple(_decode_array(plain[name], f"{where}/{name}", arrays) for name in _CSR)
    try:
        matrix = sparse.csr_matrix(parts, shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        raise CheckpointError(f"{where}: no sparse matrix: {' '.join(str(error).split())[:120]}") from None
    return matrix


def _check_size(shape: tuple[int, ...], where: str) -> None:
    _checked(shape, bool(shape) and all(size > 0 for size in shape), where, "sizes above 0")
    try:
        check_size(shape)
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from None


def _checked(value: Any, right: bool, where: str, what: str) -> Any:
    if not right:
        raise CheckpointError(f"{where}: {_short(value)} is not {what}")
    return value


def _short(value: Any) -> str:
    try:
        return repr(value)[:60]
    except ValueError:  # an integer with more digits than Python converts
        return "a number of thousands of digits"


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, localns={"nir": SimpleNamespace(NIRGraph=object)})


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in _elsewhere(kind))


@cache
def _elsewhere(kind: type) -> tuple[str, ...]:
    named = (field.name for field in fields(kind) if field.metadata == ELSEWHERE)
    return (*LEFT_OUT.get(kind, ()), *named)


def _needed(kind: type) -> set[str]:
    without = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    return without & {*_names(kind)}
