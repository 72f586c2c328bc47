"""Samples of different lengths, as one array and the steps of each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sne_deploy.data.arrays import as_array
from sne_deploy.data.dataset import MAX_DATA_BYTES, Array
from sne_deploy.errors import DataError


def joined(x: Any) -> tuple[Any, Array | None]:
    """Samples that differ in their first axis alone, followed by zeros, and their lengths.

    Parameters
    ----------
    x : list, tuple or object array of arrays of shape (steps, ...), or anything else
        What is no such list is given back as it is, and None.

    Raises
    ------
    DataError
        More than ``MAX_DATA_BYTES``.
    """
    listed = list(x) if isinstance(x, (list, tuple)) or _holds_objects(x) else []
    if not listed or not all(hasattr(sample, "shape") and len(sample.shape) > 0 for sample in listed):
        return x, None
    lengths = np.array([int(sample.shape[0]) for sample in listed])
    rest = {tuple(sample.shape[1:]) for sample in listed}
    if len(rest) != 1 or (lengths == lengths[0]).all() or not lengths.all():
        return x, None
    samples = [as_array(f"x[{index}]", sample) for index, sample in enumerate(listed)]
    dtype = np.result_type(*samples)
    shape = (len(samples), int(lengths.max()), *rest.pop())
    if math.prod(shape) * dtype.itemsize > MAX_DATA_BYTES:
        raise DataError(f"samples of up to {shape[1]} steps need more than {MAX_DATA_BYTES} bytes; run fewer")
    whole = np.zeros(shape, dtype)
    for row, sample in zip(whole, samples, strict=True):
        row[: len(sample)] = sample
    return whole, lengths


def _holds_objects(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == object and x.ndim == 1
