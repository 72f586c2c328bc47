"""From what torch read to plain containers of NumPy arrays, checking every value on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint.archive import REMEDY
from sne_deploy.model.checkpoint.scan import DTYPES, MAX_DIMENSIONS

if TYPE_CHECKING:
    import numpy as np

MAX_NODES = 500_000
MAX_DEPTH = 16
MAX_TEXT = 2**20

_CONTAINERS = (dict, list, tuple)


def to_plain(where: object, root: Any) -> Any:
    """Copy a tree of containers, with read-only NumPy arrays for tensors; iterative and bounded.

    Parameters
    ----------
    where : object
        What messages call the tree: the file's path.
    root : object
        What ``torch.load`` returned.

    Returns
    -------
    dict, list, tuple, str, int, float, bool, None and arrays; arrays share the tensors' memory.

    Raises
    ------
    CheckpointError
        Another type, a container met twice, more than ``MAX_NODES`` values, deeper than ``MAX_DEPTH``, or
        a tensor that is not plain, on the CPU, contiguous, of an allowed dtype and within its storage.
    """
    holder: list[Any] = [None]
    todo: list[tuple[Any, Any, Any, str, int]] = [(root, holder, 0, "", 0)]
    seen: set[int] = set()
    visited = 0
    while todo:
        value, parent, key, path, depth = todo.pop()
        visited += 1
        if visited > MAX_NODES:
            raise CheckpointError(f"{where}: expands to more than {MAX_NODES} values; {REMEDY}")
        if type(value) not in _CONTAINERS:
            parent[key] = _leaf(where, path.lstrip("."), value)
            continue
        if depth > MAX_DEPTH:
            raise CheckpointError(f"{where}: nested deeper than {MAX_DEPTH}; {REMEDY}")
        if value != () and id(value) in seen:
            raise CheckpointError(
                f"{where}: {path or 'the root'} holds a container that appears twice; {REMEDY}"
            )
        seen.add(id(value))
        parent[key], parts = _empty_copy(where, path, value)
        todo.extend((part, parent[key], name, f"{path}.{name}"[:200], depth + 1) for name, part in parts)
    return holder[0]


def _empty_copy(where: object, path: str, value: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Make a container of the same keys, in order; and list the parts that belong under them."""
    if not isinstance(value, dict):
        return [None] * len(value), list(enumerate(value))
    if not all(isinstance(name, str) for name in value):
        raise CheckpointError(f"{where}: {path or 'the root'} has a key that is not text; {REMEDY}")
    return dict.fromkeys(value), list(value.items())


def _leaf(where: object, path: str, value: Any) -> Any:
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is str:
        if len(value) > MAX_TEXT:
            raise CheckpointError(f"{where}: {path} is a text of {len(value)} characters, limit {MAX_TEXT}")
        return value
    return _array(where, path, value)


def _array(where: object, path: str, value: Any) -> Any:
    import torch

    if type(value) is not torch.Tensor:
        raise CheckpointError(f"{where}: {path} is of type {type(value).__name__}, not plain data; {REMEDY}")
    plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not plain or value.requires_grad or value.is_conj() or value.is_neg():
        raise CheckpointError(f"{where}: {path} is not a plain tensor on the CPU; {REMEDY}")
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise CheckpointError(f"{where}: {path} has dtype {dtype}, not one of {', '.join(DTYPES)}")
    needed = (value.storage_offset() + value.numel()) * value.element_size()
    if value.ndim > MAX_DIMENSIONS or not value.is_contiguous() or needed > value.untyped_storage().nbytes():
        raise CheckpointError(
            f"{where}: {path} has shape {list(value.shape)}, which its storage does not hold"
        )
    array: np.ndarray[Any, Any] = value.numpy()
    array.flags.writeable = False
    return array
