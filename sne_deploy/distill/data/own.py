"""Training data of the user's own: images, vectors, series, recorded events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.data.dataset import DataSet, ModelInput, fit_to_model
from sne_deploy.data.events import NAMES, are_events, binned
from sne_deploy.data.npz import load_npz, read_arrays
from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from sne_deploy.distill.data.given import Arrays
    from sne_deploy.distill.schema.data import DataModel

Array = npt.NDArray[Any]


def own_data(spec: str, described: DataModel, timesteps: int, arrays: Arrays | None) -> DataSet:
    """Take the user's own training data, of a file or as arrays, checked; series always with lengths.

    Raises
    ------
    DataError
        The file is missing or damaged, or what is in it does not fit the description; names the key.
    """
    x, y, lengths = _arrays(spec, described, timesteps) if arrays is None else arrays
    encoder, steps = described.encoder, 1
    if encoder.timed:
        shape, steps = _series_shape(spec, x), timesteps
        last = int(lengths.max()) if lengths is not None and lengths.size else x.shape[1]
        if timesteps < last <= x.shape[1] or (lengths is None and last < timesteps):
            raise DataError(
                f"data {spec}: samples last {last} steps, students.timesteps is {timesteps}; set it to {last}"
            )
    elif lengths is not None:
        raise DataError(
            f"data {spec}: has lengths, and data.input is {described.input!r}; set it to 'current' or "
            "'spikes', for series, or leave the lengths out"
        )
    else:
        shape = _own_shape(spec, x)
    _check_range(spec, described, x)
    data = fit_to_model(spec, x, y, ModelInput(shape, steps, encoder), lengths=lengths)
    full = np.full(len(data), steps) if encoder.timed and lengths is None else data.lengths
    return replace(data, lengths=full)


def _arrays(spec: str, described: DataModel, timesteps: int) -> tuple[Array, Array | None, Array | None]:
    """x, y and lengths of a file; of events, in bins."""
    path = Path(spec)
    more = read_arrays(path, NAMES)
    lengths = more.get("lengths")
    if not are_events(more):
        if described.bin_width is not None:
            raise DataError(f"data {spec}: has no events (t and offsets); leave data.bin_width and shape out")
        return *load_npz("train", path), lengths
    if described.bin_width is None or described.shape is None:
        raise DataError(
            f"data {spec}: has events; give data.bin_width, of a step in units of t, data.shape, of one "
            "step, and data.input 'spikes' or 'current'"
        )
    takes = ModelInput(described.shape, timesteps, described.encoder)
    return binned(spec, more, takes, described.bin_width), more.get("labels"), lengths


def _check_range(spec: str, described: DataModel, x: Array) -> None:
    """Say which key to change; that every value is finite is checked later."""
    low, high = described.input_range
    inside = x.dtype.kind not in "buif" or x.size == 0 or not (x.min() < low or x.max() > high)
    if described.input != "spikes" and not inside:
        raise DataError(
            f"data {spec}: values from {x.min():g} to {x.max():g} leave the model's input range {low:g} to "
            f"{high:g}; scale them, or set data.input_range so that it holds the test split's too"
        )


def _series_shape(spec: str, x: Array) -> tuple[int, ...]:
    """One step of the user's own series."""
    shape = tuple(int(size) for size in x.shape[2:])
    if x.ndim < 3 or 0 in x.shape:
        one = "; of a single channel, x[..., None]" if x.ndim == 2 else ""
        raise DataError(
            f"data {spec}: x has shape {x.shape}; series are (N, steps, channels) or (N, steps, ...){one}"
        )
    return shape


def _own_shape(spec: str, x: Array) -> tuple[int, ...]:
    """One sample of the user's own data: an image, with one channel where it says none, or a vector."""
    shape = tuple(int(size) for size in x.shape[1:])
    if len(shape) not in (1, 2, 3) or 0 in shape:
        raise DataError(
            f"data {spec}: x has shape {x.shape}; give (N, channels, height, width), (N, height, width) or "
            "(N, values); of series (N, steps, ...), set data.input to 'current' or 'spikes'"
        )
    return (1, *shape) if len(shape) == 2 else shape
