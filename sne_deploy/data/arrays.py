"""Samples as Python callers have them: arrays, tensors, data frames, lists, torch's data sets and loaders."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from sne_deploy.data.arrays_on_disk import no_numbers
from sne_deploy.data.dataset import MAX_DATA_BYTES, Array
from sne_deploy.errors import DataError


def as_array(name: str, value: Any) -> Array:
    """One array of numbers from an array, a tensor, a data frame, a series, or nested lists.

    A tensor's gradient, device and layout do not matter; bfloat16 becomes float32, which holds it.

    Raises
    ------
    DataError
        None, text, objects, or lists whose lengths differ.
    """
    try:
        array = np.asarray(_from_tensor(value) if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:150]
        raise DataError(f"{name} ({type(value).__name__}) is no array of numbers: {why}") from None
    if array.dtype.kind not in "buif":
        named = name == "y" and array.dtype.kind in "USO"
        remedy = no_numbers(np.dtype("U")) if named else "give an array of one shape for all samples"
        raise DataError(
            f"{name} ({type(value).__name__}) has dtype {array.dtype!s:.40}, must hold numbers; {remedy}"
        )
    return array


def as_samples(x: Any, y: Any) -> tuple[Array, Array | None]:
    """Samples and labels from arrays, or both from one data set or loader of torch.

    Parameters
    ----------
    x : array of shape (N, ...), or a ``torch.utils.data`` loader or data set of pairs (x, y) or of x
    y : array of shape (N,), or None

    Raises
    ------
    DataError
        As :func:`as_array`; labels given twice; more than ``MAX_DATA_BYTES``.
    """
    batches = _batches(x)
    if batches is None:
        return as_array("x", x), None if y is None else as_array("y", y)
    if y is not None:
        raise DataError(
            f"y was given, but x is a {type(x).__name__}, which gives labels itself; leave it out"
        )
    return _joined(batches, type(x).__name__)


def _from_tensor(tensor: Any) -> Any:
    found = tensor.detach().cpu()
    found = found if str(found.layout) == "torch.strided" else found.to_dense()
    return found.float() if str(found.dtype) == "torch.bfloat16" else found


def _batches(x: Any) -> Iterable[Any] | None:
    """What a loader gives, or a data set's samples as batches of one; None for arrays."""
    torch = sys.modules.get("torch")  # who gives its loader has imported it
    if torch is None:
        return None
    found = torch.utils.data.DataLoader(x) if isinstance(x, torch.utils.data.Dataset) else x
    return cast("Iterable[Any]", found) if isinstance(found, torch.utils.data.DataLoader) else None


def _joined(batches: Iterable[Any], kind: str) -> tuple[Array, Array | None]:
    parts: list[tuple[Array, ...]] = []
    taken = 0
    for batch in batches:
        pair = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if not 1 <= len(pair) <= 2:
            raise DataError(f"a batch of the {kind} has {len(pair)} parts; it must be x, or a pair (x, y)")
        parts.append(tuple(as_array(f"{kind}: {name}", part) for name, part in zip("xy", pair, strict=False)))
        taken += sum(part.nbytes for part in parts[-1])
        if taken > MAX_DATA_BYTES:
            raise DataError(f"the {kind} gives more than {MAX_DATA_BYTES} bytes; run it in several parts")
    if not parts:
        raise DataError(f"the {kind} gives no samples; give at least one")
    columns = list(zip(*parts, strict=False))
    try:
        x = np.concatenate(columns[0])
    except ValueError as error:
        raise DataError(f"the {kind} gives samples of different shapes: {error}") from None
    labelled = len(columns) == 2 and all(len(part) == 2 for part in parts)
    return x, np.concatenate([part.reshape(-1) for part in columns[1]]) if labelled else None
