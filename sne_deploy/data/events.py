"""Recordings of events (t, x, y, p), in bins of time: counts, or whether there was one.

A file of recordings is an ``.npz`` with ``t``, ``x`` and, where the model's input has them, ``y`` and ``p``:
one entry per event, all recordings one after the other; ``offsets`` says where each begins and the last ends;
and ``labels``, if known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sne_deploy.data.dataset import MAX_DATA_BYTES, Array, ModelInput
from sne_deploy.errors import DataError

NAMES = ("t", "x", "y", "p", "offsets", "labels", "lengths")


def are_events(arrays: Mapping[str, Array]) -> bool:
    """Whether these arrays of a file are events, not samples."""
    return "t" in arrays and "offsets" in arrays


def binned(name: str, events: Mapping[str, Array], model: ModelInput, bin_width: float | None) -> Array:
    """Events per bin and pixel, from each recording's first event on.

    Parameters
    ----------
    name : str
        Of the data set, for messages.
    events : mapping of str to array
        ``t``, ``offsets`` and the coordinates.
    model : ModelInput
        Of shape (n,), with coordinate x; (h, w), with y and x; or (c, h, w), with p too: one channel takes
        events of every p.
    bin_width : float or None
        Of a step, in units of ``t``.

    Returns
    -------
    array of shape (N, T, *shape)
        uint8 of 0 and 1 where the model takes spikes, else uint16 counts. After a recording's last event it
        is silent.

    Raises
    ------
    DataError
        No bin width, a coordinate that is missing or outside, or a recording that lasts longer than the
        model runs.
    """
    if not model.encoder.timed:
        raise DataError(
            f"data set {name}: events are input in time, and encoder {model.encoder.kind} takes none; give "
            "--encoder spikes or graded"
        )
    if bin_width is None or not 0 < bin_width < np.inf:
        raise DataError(
            f"data set {name}: events need the width of a step; give --bin-width (bin_width=) in units of t"
        )
    places, (t, offsets) = _places(name, events, model.shape), recordings(name, events)
    n, pixels = len(offsets) - 1, int(np.prod(model.shape))
    if n * model.timesteps * pixels * 2 > MAX_DATA_BYTES:
        raise DataError(
            f"data set {name}: {n} recordings of {model.timesteps} steps of {pixels} values need more than "
            f"{MAX_DATA_BYTES} bytes; split the file"
        )
    found = np.zeros((n, model.timesteps * pixels), np.uint16)
    for index in range(n):
        part = slice(offsets[index], offsets[index + 1])
        step = _steps(name, index, t[part], bin_width, model.timesteps)
        counts = np.bincount(step * pixels + places[part], minlength=found.shape[1])
        found[index] = np.minimum(counts, np.iinfo(np.uint16).max)
    shaped = found.reshape(n, model.timesteps, *model.shape)
    return (shaped > 0).view(np.uint8) if model.encoder.kind == "spikes" else shaped


def recordings(name: str, events: Mapping[str, Array]) -> tuple[Array, Array]:
    """Times of all events, and where each recording begins and the last ends; both checked."""
    t = _column(name, events, "t", None)
    return t, _offsets(name, events["offsets"], len(t))


def _steps(name: str, index: int, t: Array, bin_width: float, timesteps: int) -> Array:
    if not len(t):
        return np.zeros(0, np.int64)
    step = np.floor((t - t.min()) / bin_width)
    last = float(step.max())
    if last >= timesteps:
        raise DataError(
            f"data set {name}: recording {index} lasts {last + 1:.0f} steps of {bin_width:g}, the model runs "
            f"{timesteps}; give a larger --bin-width, --timesteps {last + 1:.0f} where the model's file "
            "leaves that open, or shorter recordings"
        )
    return np.asarray(step, np.int64)


def _places(name: str, events: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    """Where in a flat frame each event lies."""
    axes = {1: ("x",), 2: ("y", "x"), 3: ("p", "y", "x")}.get(len(shape))
    if axes is None:
        raise DataError(f"data set {name}: events have no place in an input of shape {shape}; give frames")
    count = len(events["t"])
    columns = [
        np.zeros(count, np.int64) if axis == "p" and size == 1 else _column(name, events, axis, size)
        for axis, size in zip(axes, shape, strict=True)
    ]
    return np.ravel_multi_index(columns, shape).astype(np.int64) if count else np.zeros(0, np.int64)


def _column(name: str, events: Mapping[str, Array], axis: str, size: int | None) -> Any:
    """One coordinate of every event, within its size; times as they are."""
    values = events.get(axis)
    if values is None:
        raise DataError(f"data set {name}: events have no array {axis}, which the model's input needs")
    if values.shape != events["t"].shape or values.ndim != 1:
        raise DataError(f"data set {name}: {axis} has shape {values.shape}, t has {events['t'].shape}")
    if size is None:
        if not np.isfinite(values).all():
            raise DataError(f"data set {name}: times t must be finite")
        return values.astype(np.float64)
    if values.dtype.kind not in "bui":
        raise DataError(f"data set {name}: {axis} has dtype {values.dtype}; coordinates are whole numbers")
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < size:
        raise DataError(
            f"data set {name}: {axis} from {values.min()} to {values.max()}; the model's input has {size}, "
            f"0 to {size - 1}"
        )
    return values.astype(np.int64)


def _offsets(name: str, offsets: Array, events: int) -> Array:
    ordered = offsets.ndim == 1 and offsets.dtype.kind in "ui" and len(offsets) > 1
    if ordered:
        offsets = offsets.astype(np.int64)
        ordered = offsets[0] == 0 and offsets[-1] == events and not bool((np.diff(offsets) < 0).any())
    if not ordered:
        raise DataError(
            f"data set {name}: offsets must be whole numbers from 0 to the {events} events, one more than "
            "there are recordings"
        )
    return offsets
