"""Fields of nodes as arrays, and parameters of neurons in the neurons' own shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.layers.geometry import Shape

Array = npt.NDArray[Any]
EXACT = 2**53
"""Integers up to here are float64 numbers."""


def as_array(value: Any) -> Array:
    """A field as an array: some exporters leave PyTorch tensors in the graphs that they make."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def as_floats(value: Any) -> Array:
    """float32 and float64 as they are, and what is then refused; other floats, integers, bools as float64."""
    array = as_array(value)
    rounded = array.dtype.kind in "iu" and array.size > 0 and max(-int(array.min()), int(array.max())) > EXACT
    as_it_is = array.dtype in (np.float32, np.float64) or array.dtype.kind not in "fiub" or rounded
    return array if as_it_is else array.astype(np.float64)


def to_shape(value: Any, shape: Shape) -> Array:
    """A parameter with one value per neuron, as a new array; see :func:`view_in_shape`."""
    return np.array(view_in_shape(value, shape), order="C")


def view_in_shape(value: Any, shape: Shape) -> Array:
    """A parameter with one value per neuron, of which no more are in memory than it has.

    One value goes to all neurons; leading axes that are missing, and axes of size 1, are filled up as NumPy
    and PyTorch do; leading axes that are too many (a batch) must hold the same values throughout.

    Raises
    ------
    ValueError
        The value has another shape.
    """
    array = as_array(value)
    if array.size == 1:
        return np.broadcast_to(array.reshape(()), shape)
    while array.ndim > len(shape) and len(array) and not np.any(array != array[0]):
        array = array[0]
    if array.ndim > len(shape) or any(
        n not in (1, m) for n, m in zip(array.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(f"{np.shape(value)} is neither {shape} nor broadcasts to it")
    return np.broadcast_to(array, shape)


def fits_exactly(value: Any, shape: Shape) -> bool:
    """Whether a parameter has the neurons' shape, or one value for all."""
    return np.shape(value) == shape or as_array(value).size == 1
