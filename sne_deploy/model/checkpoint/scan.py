"""What ``data.pkl`` would build, worked out before torch builds it.

torch's reader allocates as the pickle tells it to: a tensor's claimed shape, not its storage, decides.
So the pickle is interpreted here first, in a closed machine that makes plain data only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint.archive import REMEDY, Archive
from sne_deploy.model.checkpoint.pickles import Dialect, Global, PickleError, UnknownGlobalError, read_pickle

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

_REBUILD = "torch._utils _rebuild_tensor_v2"
_ORDERED = "collections OrderedDict"


@dataclass(frozen=True)
class _Storage:
    key: str
    elements: int


@dataclass(frozen=True)
class TensorClaim:
    """A tensor that the pickle would build, its geometry already proven to fit its storage."""

    key: str
    shape: tuple[int, ...]


class _OrderedDict:
    """Stands for ``OrderedDict()``: torch writes an empty one into every tensor."""


def scan_pickle(path: object, archive: Archive) -> Any:
    """Interpret ``data.pkl`` without building a tensor.

    Returns
    -------
    The plain containers, with a :class:`TensorClaim` for each tensor.

    Raises
    ------
    CheckpointError
        It names a class or function, holds a tensor that its storage does not hold, or is over a limit.
    """
    used: set[str] = set()

    def storage(identity: Any) -> _Storage:
        made = _storage(identity, archive.storages)
        if made.key in used:
            raise PickleError(f"two tensors that share the storage data/{made.key}")
        used.add(made.key)
        return made

    handlers: dict[str, Any] = {f"torch {name}": None for name in STORAGES}
    handlers[_REBUILD] = _tensor
    handlers[_ORDERED] = _OrderedDict
    try:
        return read_pickle(archive.pickle, Dialect(handlers, storage))
    except UnknownGlobalError as error:
        raise CheckpointError(f"{path}: {_what_is(str(error))}; {REMEDY}") from error
    except PickleError as error:
        if "BUILD" in str(error) or "plain dict" in str(error):
            raise CheckpointError(
                f"{path}: a bare state dict, which does not say what its network is; {REMEDY}"
            ) from error
        raise CheckpointError(f"{path}: refused: it holds {error}; {REMEDY}") from error


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


def _storage(identity: Any, storages: Mapping[str, bytes]) -> _Storage:
    if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
        raise PickleError("a storage reference that is damaged")
    _, kind, key, device, elements = identity
    if not isinstance(kind, Global) or kind.name.removeprefix("torch ") not in STORAGES:
        raise PickleError("a storage of unknown type")
    if device != "cpu":
        raise PickleError(f"a tensor on device {str(device)[:20]!r}, not 'cpu'")
    if type(key) is not str or key not in storages:
        raise PickleError(f"a tensor whose storage data/{str(key)[:20]} is missing")
    claimed = _natural(elements) * STORAGES[kind.name.removeprefix("torch ")][1]
    if claimed != len(storages[key]):
        raise PickleError(
            f"a storage data/{key} that claims {claimed} bytes where its entry has {len(storages[key])}"
        )
    return _Storage(key, elements)


def _tensor(*arguments: Any) -> TensorClaim:
    """Stands for ``torch._utils._rebuild_tensor_v2``."""
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
    return TensorClaim(storage.key, shape)
