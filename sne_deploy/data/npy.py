"""A NumPy ``.npy`` file, memory-mapped: samples larger than memory are read slice by slice, as they run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from sne_deploy.data.arrays_on_disk import Header, read_header
from sne_deploy.data.dataset import Array, Split
from sne_deploy.errors import DataError
from sne_deploy.files import open_regular

SUFFIX = ".npy"


def is_npy(spec: str) -> bool:
    """Whether it names samples in such a file: ``X.npy``, or ``X.npy:Y.npy`` with their labels."""
    return spec.endswith(SUFFIX)


def load_npy(_split: Split, path: Path | None) -> tuple[Array, Array | None]:
    """Map ``X.npy``, and the labels of ``X.npy:Y.npy``; nothing is unpickled.

    Raises
    ------
    DataError
        Missing, no array of numbers, or not of the size that it claims.
    """
    x, y = _paths(str(path))
    return _mapped(x)[0], None if y is None else np.array(_mapped(y)[0])


def npy_shape(spec: str) -> tuple[int, ...]:
    """Read the shape of the samples from the header alone; errors as :func:`load_npy`."""
    return _mapped(_paths(spec)[0])[1].shape


def _paths(spec: str) -> tuple[Path, Path | None]:
    x, found, y = spec.partition(f"{SUFFIX}:")
    return (Path(x + SUFFIX), Path(y)) if found else (Path(spec), None)


def _mapped(path: Path) -> tuple[Array, Header]:
    try:
        with open_regular(path) as stream:
            header = read_header(str(path), stream)
            start, size = stream.tell(), os.fstat(stream.fileno()).st_size
            if size - start != header.nbytes:
                raise DataError(
                    f"{path} claims shape {header.shape} of {header.dtype}, but holds {size - start} bytes; "
                    "write it again with np.save"
                )
            if header.nbytes == 0:
                return np.empty(header.shape, header.dtype), header
            order: Literal["F", "C"] = "F" if header.fortran else "C"
            mapped: Any = np.memmap(cast("Any", stream), header.dtype, "r", start, header.shape, order)
            return mapped.view(np.ndarray), header
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; give a FILE.npy") from error
