"""CIFAR-10: the standard ``cifar-10-batches-py`` folder, read without running its pickles.

References
----------
A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009; five training batches and one
test batch, each a pickled dict with ``data`` (uint8, rows of 3072 = 3 x 32 x 32) and ``labels``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sne_deploy.errors import DataError
from sne_deploy.files import is_folder, read_regular
from sne_deploy.pickles import (
    Buildable,
    Dialect,
    Global,
    PickleError,
    UnknownGlobalError,
    read_pickle,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sne_deploy.data.dataset import Array, Split

FOLDER = "cifar-10-batches-py"
BATCHES: dict[Split, tuple[str, ...]] = {
    "test": ("test_batch",),
    "train": tuple(f"data_batch_{index}" for index in range(1, 6)),
}
MAX_BATCH_BYTES = 96 * 2**20
"""A standard batch has 31 MB; 62 MB where its bytes are written as text."""
IMAGE_SHAPE = (3, 32, 32)


class _DType(Buildable):
    """Stands for numpy.dtype: unsigned bytes only."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in ("u1", b"u1"):
            raise PickleError(f"an array of dtype {code!r:.20}, not unsigned bytes")

    def build(self, state: Any) -> None:
        """Take the byte order and alignment, which mean nothing for bytes."""


class _Pixels(Buildable):
    """Stands for a numpy.ndarray that is being read."""

    array: Array | None = None

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, fortran, bytes)."""
        _, shape, dtype, fortran, data = state
        sizes_right = type(shape) is tuple and all(type(size) is int and size >= 0 for size in shape)
        if not isinstance(dtype, _DType) or type(data) is not bytes or not sizes_right:
            raise PickleError("an array that is not of unsigned bytes")
        if math.prod(shape) != len(data):
            raise PickleError(f"an array of shape {shape} with {len(data)} bytes")
        order = "F" if fortran else "C"
        self.array = np.frombuffer(data, np.uint8).reshape(shape, order=order)  # type: ignore[call-overload]


def _reconstruct(kind: Any, *_: Any) -> _Pixels:
    if kind != Global("numpy ndarray"):
        raise PickleError("an object that is not an array")
    return _Pixels()


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise PickleError("a text that is not bytes in latin1")
    return text.encode("latin-1")


_DIALECT = Dialect(
    {
        "numpy.core.multiarray _reconstruct": _reconstruct,
        "numpy._core.multiarray _reconstruct": _reconstruct,
        "numpy ndarray": None,
        "numpy dtype": _DType,
        "_codecs encode": _encode,
    }
)


def load_cifar10(split: Split, path: Path | None) -> tuple[Array, Array]:
    """Read the batches of one split.

    Returns
    -------
    x : float32 array of shape (N, 3, 32, 32), in [0, 1]
    y : int64 array of shape (N,)

    Raises
    ------
    DataError
        A batch is missing, too large, or not a CIFAR-10 batch.
    """
    if path is None:
        raise DataError(f"data cifar10 needs the folder {FOLDER}: cifar10:DIR")
    folder = path / FOLDER if is_folder(path / FOLDER) else path
    batches = [read_batch(folder / name) for name in BATCHES[split]]
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return images.astype(np.float32) / np.float32(255.0), labels


def read_batch(path: Path) -> tuple[Array, Array]:
    """Read one batch file as data: uint8 images of shape (N, 3, 32, 32) and int64 labels.

    Raises
    ------
    DataError
        Missing, larger than ``MAX_BATCH_BYTES``, or anything but a dict of pixels and labels.
    """
    try:
        content = read_pickle(read_regular(path, MAX_BATCH_BYTES), _DIALECT)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give the folder {FOLDER}") from error
    except UnknownGlobalError as error:
        raise DataError(
            f"{path}: refused: it names {str(error)[:100]!r}, no part of a CIFAR-10 batch; it was not run"
        ) from error
    except PickleError as error:
        raise DataError(f"{path}: not a CIFAR-10 batch ({error}); get the file again") from error
    return _check_batch(path, content)


def _check_batch(path: Path, content: Any) -> tuple[Array, Array]:
    entries = content if isinstance(content, dict) else {}
    pixels = entries.get(b"data", entries.get("data"))
    labels = entries.get(b"labels", entries.get("labels"))
    if not isinstance(pixels, _Pixels) or pixels.array is None or not isinstance(labels, list):
        raise DataError(f"{path}: not a CIFAR-10 batch: no data and labels in it; get the file again")
    if pixels.array.ndim != 2 or pixels.array.shape[1] != math.prod(IMAGE_SHAPE):
        raise DataError(f"{path}: data has shape {pixels.array.shape}, must be (N, 3072); get the file again")
    if len(labels) != len(pixels.array) or not all(type(y) is int and 0 <= y <= 9 for y in labels):
        raise DataError(
            f"{path}: {len(labels)} labels for {len(pixels.array)} images, each must be 0 to 9; get it again"
        )
    return pixels.array.reshape(-1, *IMAGE_SHAPE), np.array(labels, dtype=np.int64)
