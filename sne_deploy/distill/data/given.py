"""What a run is given in Python beside its description: arrays, and a teacher that is a torch module."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.data.arrays import as_array
from sne_deploy.data.ragged import joined
from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]
Arrays = tuple[Array, Array, "Array | None"]
"""Samples (N, C, H, W), (N, F) or (N, T, ...), labels of shape (N,) from 0, and the steps of each sample."""


@dataclass(frozen=True, eq=False)
class Given:
    """What the description leaves open.

    Attributes
    ----------
    data : Arrays or None
        To train on; ``data.source`` is then "arrays".
    test : Arrays or None
        To measure on.
    teacher : nn.Module or None
        Trained; ``teacher.architecture`` is then "module".
    """

    data: Arrays | None = None
    test: Arrays | None = None
    teacher: nn.Module | None = None


def as_arrays(name: str, pair: Any) -> Arrays:
    """Take ``(x, y)`` or ``(x, y, lengths)`` of NumPy arrays, tensors or lists.

    Series of different lengths may also be a list of arrays of shape (steps, ...).

    Raises
    ------
    DataError
        It is no such pair.
    """
    if not isinstance(pair, (tuple, list)) or len(pair) not in (2, 3):
        raise DataError(f"{name}: give a pair (x, y), not {type(pair).__name__}")
    x, lengths = joined(pair[0])
    if len(pair) == 3:
        lengths = as_array(f"{name}: lengths", pair[2])
    return as_array(f"{name}: x", x), as_array(f"{name}: y", pair[1]), lengths


def digest_of(arrays: Iterable[Array | str]) -> str:
    """A digest of arrays (dtype, shape, values) and texts, in their order."""
    found = hashlib.sha256()
    for part in arrays:
        if isinstance(part, str):
            found.update(part.encode())
        else:
            found.update(f"{part.dtype.str}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        found.update(b"\0")
    return found.hexdigest()
