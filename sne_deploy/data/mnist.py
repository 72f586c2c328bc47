"""MNIST and its look-alikes: IDX files, gzipped or not.

References
----------
Y. LeCun, C. Cortes, C. Burges: The MNIST database, file format "IDX" (magic 0x0000 08 <dimensions>, then
big-endian sizes, then unsigned bytes).
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from sne_deploy.data.dataset import MAX_DATA_BYTES, Array, Split
from sne_deploy.errors import DataError
from sne_deploy.files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

PREFIXES: dict[Split, str] = {"test": "t10k", "train": "train"}
_UNSIGNED_BYTES = 0x08


def load_mnist(split: Split, path: Path | None) -> tuple[Array, Array]:
    """Read images and labels.

    Returns
    -------
    x : float32 array of shape (N, 1, 28, 28), in [0, 1]
    y : uint8 array of shape (N,)

    Raises
    ------
    DataError
        A file is missing, truncated, longer than its header says, or not IDX.
    """
    if path is None:
        raise DataError("data mnist needs the folder of its IDX files: mnist:DIR")
    prefix = PREFIXES[split]
    images = read_idx(_find(path, f"{prefix}-images", "idx3-ubyte"), 3)
    labels = read_idx(_find(path, f"{prefix}-labels", "idx1-ubyte"), 1)
    if len(images) != len(labels):
        raise DataError(
            f"{path}: {len(images)} {prefix} images but {len(labels)} labels; get both files again"
        )
    return (images.astype(np.float32) / np.float32(255.0))[:, None], labels


def _find(folder: Path, stem: str, kind: str) -> Path:
    for name in (f"{stem}-{kind}", f"{stem}.{kind}"):
        for candidate in (folder / name, folder / f"{name}.gz"):
            if os.path.exists(candidate):  # noqa: PTH110  false for a name that cannot be
                return candidate
    raise DataError(f"{folder} has no {stem}-{kind} or {stem}-{kind}.gz; give the folder of the IDX files")


def read_idx(path: Path, dimensions: int) -> Array:
    """Read one IDX file of unsigned bytes; its header decides how much is read, and is checked first.

    Returns
    -------
    uint8 array with ``dimensions`` axes.

    Raises
    ------
    DataError
        Not such a file, or its length is not what the header says.
    """
    try:
        with open_regular(path) as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if zipped else raw as stream:
                header = stream.read(4 + 4 * dimensions)
                size = _check_header(path, header, dimensions)
                data = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}; get the file again"
        ) from error
    if len(data) != size:
        count = "more" if len(data) > size else "fewer"
        raise DataError(f"{path}: {count} bytes than the {size} of its header; get the file again")
    return np.frombuffer(data, dtype=np.uint8).reshape(struct.unpack(f">{dimensions}I", header[4:]))


def _check_header(path: Path, header: bytes, dimensions: int) -> int:
    expected = struct.pack(">HBB", 0, _UNSIGNED_BYTES, dimensions)
    if len(header) != 4 + 4 * dimensions or header[:4] != expected:
        raise DataError(
            f"{path}: not an IDX file of unsigned bytes with {dimensions} dimensions; get it again"
        )
    size: int = math.prod(struct.unpack(f">{dimensions}I", header[4:]))
    if size > MAX_DATA_BYTES // 4:
        raise DataError(f"{path}: its header claims {size} bytes, limit {MAX_DATA_BYTES // 4}")
    return size
