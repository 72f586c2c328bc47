"""Tensors in a ``model.pt`` that are mostly 0, or need no more than 16 bits.

``shape``, ``dtype``: of the tensor, float32 or float64. ``mask``: uint8, a bit for each element in C order,
the first in the highest of its byte, and 0 to fill up the last byte. ``values``: of ``dtype``, the elements
whose bit is 1, in order; or int16, the bits of IEEE 754 halves, where every value is exactly one. No bit of
a tensor is lost: -0.0 and NaN are values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint.archive import MAX_FILE_BYTES, REMEDY
from sne_deploy.model.checkpoint.contents import MAX_DIMENSIONS

Array = npt.NDArray[Any]
MAX_DENSE_BYTES = MAX_FILE_BYTES
"""Of all sparse tensors of a file as arrays: no more than a file without any could hold."""
LEAST_BYTES = 4096
"""Smaller tensors gain nothing: an entry of a zip file takes hundreds of bytes."""
WORTH = 0.6
"""Of a tensor's size: a sparse one is written where it takes no more. Half of the bits take 0.53."""
_BITS = {"float32": np.uint32, "float64": np.uint64}


class SparseTensor(BaseModel):
    """As it stands in a document."""

    model_config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)

    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_DIMENSIONS)]
    dtype: Literal["float32", "float64"]
    mask: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)


def written(array: Array) -> Array | dict[str, Any]:
    """What stands in a document: a sparse tensor where that is worth it."""
    kind = array.dtype.name
    if kind not in _BITS or array.nbytes < LEAST_BYTES:
        return array
    flat = np.ascontiguousarray(array, dtype=kind).reshape(-1)
    there = flat.view(_BITS[kind]) != 0
    kept = flat[there]
    values = _halves(kept)
    if len(there) / 8 + values.nbytes > WORTH * array.nbytes:
        return array
    return {"shape": list(array.shape), "dtype": kind, "mask": np.packbits(there), "values": values}


def _halves(values: Array) -> Array:
    """The bits of halves where each value is one; else the values."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        halves = values.astype(np.float16)
        same = halves.astype(values.dtype)
    bits = _BITS[values.dtype.name]
    return halves.view(np.int16) if np.array_equal(same.view(bits), values.view(bits)) else values


def check_sizes(where: object, tensors: Iterable[SparseTensor]) -> None:
    """Refuse more than ``MAX_DENSE_BYTES``, before any array is made.

    Raises
    ------
    CheckpointError
        Names how much it would be.
    """
    total = sum(one.size * np.dtype(one.dtype).itemsize for one in tensors)
    if total > MAX_DENSE_BYTES:
        raise CheckpointError(
            f"{where}: sparse tensors of {total} bytes as arrays, limit {MAX_DENSE_BYTES}; {REMEDY}"
        )


def array_of(place: str, tensor: Array | SparseTensor) -> Array:
    """The array of what stands in a document, read-only.

    Raises
    ------
    CheckpointError
        Mask and values do not fit the shape, or each other; or they are not as they would be written.
    """
    if not isinstance(tensor, SparseTensor):
        return tensor

    def wrong(what: str) -> CheckpointError:
        return CheckpointError(f"{place}: sparse tensor: {what}; {REMEDY}")

    size, mask, values = tensor.size, tensor.mask, tensor.values
    if mask.dtype != np.uint8 or mask.shape != (-(-size // 8),):
        raise wrong(
            f"a mask of {mask.dtype} {list(mask.shape)} for {size} elements, must be uint8 [{-(-size // 8)}]"
        )
    there = np.unpackbits(mask)
    if there[size:].any():
        raise wrong("a mask with bits beyond its last element")
    count = int(there.sum())
    if values.dtype.name not in (tensor.dtype, "int16") or values.shape != (count,):
        raise wrong(
            f"values of {values.dtype} {list(values.shape)} for a mask of {count}, must be {tensor.dtype} or "
            f"int16 [{count}]"
        )
    whole = values.view(np.float16).astype(tensor.dtype) if values.dtype == np.int16 else values
    whole = np.ascontiguousarray(whole)
    if not whole.view(_BITS[tensor.dtype]).all():
        raise wrong("a value that is 0")
    array = np.zeros(size, tensor.dtype)
    array[there[:size] != 0] = whole
    array.flags.writeable = False
    return array.reshape(tensor.shape)
