"""``data.pkl`` as plain containers of NumPy arrays, worked out without torch and without running anything.

A pickle allocates as it likes: a tensor's claimed shape, not its storage, would decide. So it is interpreted
in a closed machine that makes plain data only, and every tensor is proven to be its own storage, whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint.archive import REMEDY, Archive
from sne_deploy.pickles import Dialect, Global, PickleError, UnknownGlobalError, read_pickle

if TYPE_CHECKING:
    from collections.abc import Mapping

STORAGES: Mapping[str, tuple[str, int]] = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
"""torch's storage classes that a model.pt may use: dtype name and bytes per element."""
DTYPES = tuple(dtype for dtype, _ in STORAGES.values())
MAX_DIMENSIONS = 8
MAX_NODES = 500_000
MAX_DEPTH = 16
MAX_TEXT = 2**20

_REBUILD = "torch._utils _rebuild_tensor_v2"
_ORDERED = "collections OrderedDict"


@dataclass(frozen=True)
class _Storage:
    data: bytes
    dtype: str
    elements: int


class _OrderedDict:
    """Stands for ``OrderedDict()``: torch writes an empty one into every tensor."""


def read_contents(where: object, archive: Archive) -> Any:
    """The containers in ``data.pkl``, with a read-only array for each tensor.

    Raises
    ------
    CheckpointError
        It names a class or function, holds a tensor that its storage does not hold, or is over a limit.
    """
    unused = dict(archive.storages)
    handlers: dict[str, Any] = {f"torch {name}": None for name in STORAGES}
    handlers[_REBUILD] = _tensor
    handlers[_ORDERED] = _OrderedDict
    machine = Dialect(handlers, lambda identity: _storage(identity, archive.storages, unused))
    try:
        tree = read_pickle(archive.pickle, machine)
    except UnknownGlobalError as error:
        raise CheckpointError(f"{where}: {_what_is(str(error))}; {REMEDY}") from error
    except PickleError as error:
        if "BUILD" in str(error) or "plain dict" in str(error):
            raise CheckpointError(
                f"{where}: a bare state dict, which does not say what its network is; {REMEDY}"
            ) from error
        raise CheckpointError(f"{where}: refused: it holds {error}; {REMEDY}") from error
    _check_plain(where, tree)
    return tree


def _check_plain(where: object, root: Any) -> None:
    """Check what the machine made: plain data alone, and no more of it than a model has."""
    todo: list[tuple[Any, str, int]] = [(root, "", 0)]
    for _ in range(MAX_NODES + 1):
        if not todo:
            return
        value, path, depth = todo.pop()
        if type(value) in (dict, list, tuple):
            if depth > MAX_DEPTH:
                raise CheckpointError(f"{where}: nested deeper than {MAX_DEPTH}; {REMEDY}")
            parts = value.items() if type(value) is dict else enumerate(value)
            if type(value) is dict and not all(type(name) is str for name in value):
                raise CheckpointError(f"{where}: {path or 'the root'} has a key that is not text; {REMEDY}")
            todo.extend((part, f"{path}.{name}"[:200], depth + 1) for name, part in parts)
        elif type(value) is str:
            if len(value) > MAX_TEXT:
                raise CheckpointError(
                    f"{where}: {path.lstrip('.')} is a text of {len(value)} characters, limit {MAX_TEXT}"
                )
        elif value is not None and type(value) not in (bool, int, float, np.ndarray):
            kind = type(value).__name__.lstrip("_")
            raise CheckpointError(f"{where}: {path.lstrip('.')} is of type {kind}, not plain data; {REMEDY}")
    raise CheckpointError(f"{where}: expands to more than {MAX_NODES} values; {REMEDY}")


def _what_is(name: str) -> str:
    name = name[:100]
    if name.endswith("Storage"):
        return f"a tensor of type {name}, which is not one of {', '.join(DTYPES)}"
    if "sparse" in name or "meta" in name or "qtensor" in name or "_rebuild" in name:
        return f"a tensor that is not a plain one ({name}); detach it and make it dense"
    return f"a pickled object ({name!r}), which can run code when it is read, and was not"


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise PickleError("a tensor with a size, stride or offset that is negative or not a number")
    return value


def _storage(identity: Any, storages: Mapping[str, bytes], unused: dict[str, bytes]) -> _Storage:
    """Stands for persistent_load: a storage, which ``unused`` loses, since one tensor alone may have it."""
    if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
        raise PickleError("a storage reference that is damaged")
    _, kind, key, device, elements = identity
    if not isinstance(kind, Global) or kind.name.removeprefix("torch ") not in STORAGES:
        raise PickleError("a storage of unknown type")
    if device != "cpu":
        raise PickleError(f"a tensor on device {str(device)[:20]!r}, not 'cpu'")
    if type(key) is not str or key not in storages:
        raise PickleError(f"a tensor whose storage data/{str(key)[:20]} is missing")
    dtype, size = STORAGES[kind.name.removeprefix("torch ")]
    claimed = _natural(elements) * size
    if claimed != len(storages[key]):
        raise PickleError(
            f"a storage data/{key} that claims {claimed} bytes where its entry has {len(storages[key])}"
        )
    if unused.pop(key, None) is None:
        raise PickleError(f"two tensors that share the storage data/{key}")
    return _Storage(storages[key], dtype, elements)


def _tensor(*arguments: Any) -> np.ndarray[Any, Any]:
    """Stands for ``torch._utils._rebuild_tensor_v2``: a view of the storage's bytes."""
    if len(arguments) != 6 or not isinstance(arguments[0], _Storage):
        raise PickleError("a tensor with attributes, or a damaged one")
    storage, offset, shape, strides, requires_grad, hooks = arguments
    if requires_grad is not False or not isinstance(hooks, _OrderedDict):
        raise PickleError("a tensor that requires a gradient; detach it")
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
        raise PickleError("a tensor with a damaged shape")
    if len(shape) > MAX_DIMENSIONS:
        raise PickleError(f"a tensor of {len(shape)} dimensions, limit {MAX_DIMENSIONS}")
    elements = math.prod(_natural(size) for size in shape)
    if _natural(offset) or elements != storage.elements:
        raise PickleError(
            f"a tensor of shape {list(shape)} ({elements} values) on a storage of {storage.elements}"
        )
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if _natural(stride) != expected and size != 1 and elements:
            raise PickleError(f"a tensor of shape {list(shape)} that is not contiguous")
        expected *= max(size, 1)
    array: np.ndarray[Any, Any] = np.frombuffer(storage.data, np.dtype(storage.dtype).newbyteorder("<"))
    if storage.dtype == "bool":  # a byte that is neither 0 nor 1 is no bool yet
        array = array.view(np.uint8) != 0
        array.flags.writeable = False
    return array.reshape(shape)
