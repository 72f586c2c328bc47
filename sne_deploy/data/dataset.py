"""A data set in memory, and the checks that every source's arrays go through."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from sne_deploy.brief import briefly
from sne_deploy.errors import DataError
from sne_deploy.memory import let_go
from sne_deploy.model.layers.geometry import reshapes

if TYPE_CHECKING:
    from pathlib import Path

    from sne_deploy.model.ensemble import Encoder, EncoderKind

Array = npt.NDArray[Any]
Split = Literal["test", "train"]

MAX_DATA_BYTES = 2**32
"""Largest array that a data file may hold once unpacked."""


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class DataSet:
    """Samples, checked against a model's input.

    Attributes
    ----------
    name : str
    x : array of shape ``(N, *input_shape)``, or ``(N, T, *input_shape)`` where the encoder is ``timed``
        uint8 of 0 and 1 for spikes; else float32 (float64 where the file has it), within the encoder's
        ``input_range``.
    y : int64 array of shape (N,), or None
        Class labels, from 0.
    lengths : int64 array of shape (N,), or None
        Steps that each sample lasts, where these differ; what x holds after them is nothing.
    """

    name: str
    x: Array
    y: Array | None = None
    lengths: Array | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.x)

    def taken(self, which: Array | slice) -> DataSet:
        """Some of the samples, or all in another order.

        Parameters
        ----------
        which : int array, bool array or slice

        Returns
        -------
        DataSet
        """
        y, lengths = (None if part is None else part[which] for part in (self.y, self.lengths))
        return replace(self, x=self.x[which], y=y, lengths=lengths)


@dataclass(frozen=True)
class ModelInput:
    """What a model takes: shape of a sample at one step, steps, encoder."""

    shape: tuple[int, ...]
    timesteps: int
    encoder: Encoder


class Source(Protocol):
    """A kind of data set: reads raw arrays; :func:`fit_to_model` does the rest."""

    def __call__(self, split: Split, path: Path | None, /) -> tuple[Array, Array | None]:
        """Read x of shape (N, ...) and y of shape (N,)."""
        ...


def select_samples(dataset: DataSet, samples: int | None) -> DataSet:
    """Take the first ``samples`` samples; all of them for None.

    Raises
    ------
    DataError
        ``samples`` is less than 1, or more than there are.
    """
    if samples is None:
        return dataset
    if not 1 <= samples <= len(dataset):
        raise DataError(
            f"--samples {samples}: data set {dataset.name} has {len(dataset)} samples; "
            f"choose between 1 and {len(dataset)}"
        )
    return dataset.taken(slice(samples))


def fit_to_model(
    name: str, x: Array, y: Array | None, model: ModelInput, *, lengths: Array | None = None
) -> DataSet:
    """Check raw arrays against what the model takes, and bring them into its shape.

    Raises
    ------
    DataError
        No samples, wrong shape, dtype, range or labels, or values that are not finite.
    """
    if x.ndim == 0 or len(x) == 0:
        raise DataError(f"data set {name}: x has shape {x.shape} and no samples; give at least one")
    if lengths is not None:
        lengths = _lengths(name, lengths, x, model)
        x = _silent_after(_with_steps(x, model.timesteps), lengths)
    x = _in_shape(name, x, model)
    if model.encoder.kind == "spikes":
        x = binary_spikes(name, x)
    else:
        x = _in_range(name, _floats(name, x), model.encoder.input_range)
    labels = None if y is None else _labels(name, y, len(x))
    return DataSet(name, _read_only(x), None if labels is None else _read_only(labels), lengths)


def _lengths(name: str, lengths: Array, x: Array, model: ModelInput) -> Array:
    """The steps of each sample, checked."""
    if not model.encoder.timed:
        raise DataError(
            f"data set {name}: lengths were given, but encoder {model.encoder.kind} takes samples without a "
            "time axis; leave them out"
        )
    steps = x.shape[1] if x.ndim > 1 else 0
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "ui":
        raise DataError(
            f"data set {name}: lengths of shape {lengths.shape} and dtype {lengths.dtype}, must be whole "
            f"numbers of shape ({len(x)},)"
        )
    low, high, most = int(lengths.min()), int(lengths.max()), min(steps, model.timesteps)
    if low < 1 or high > most:
        raise DataError(
            f"data set {name}: lengths from {low} to {high}; x has {steps} steps and the model runs "
            f"{model.timesteps}: they must be from 1 to {most}; where the model's file leaves that open, "
            f"--timesteps {high} (timesteps=) makes it run longer"
        )
    return lengths.astype(np.int64)


def _with_steps(x: Array, timesteps: int) -> Array:
    """As many steps as the model runs; what is added is nothing, and what is taken away after the end."""
    missing = timesteps - x.shape[1]
    if missing <= 0:
        return x[:, :timesteps]
    return np.concatenate([x, np.zeros((len(x), missing, *x.shape[2:]), x.dtype)], axis=1)


def _silent_after(x: Array, lengths: Array) -> Array:
    """Zeros after each sample's end, which teachers would hear: they take whole series."""
    ends = np.unique(lengths)
    if not any(np.any(x[lengths == steps, steps:]) for steps in ends):
        return x
    silent = x.copy()
    for steps in ends:
        silent[lengths == steps, steps:] = 0
    return silent


def _in_shape(name: str, x: Array, model: ModelInput) -> Array:
    timed, kind = model.encoder.timed, model.encoder.kind
    wanted = (model.timesteps, *model.shape) if timed else model.shape
    got = tuple(x.shape[1:])
    if got == wanted:
        return x
    if not timed and reshapes(got, wanted):
        return x.reshape(len(x), *wanted)
    if timed and math.prod(got) == math.prod(model.shape):
        what = "spikes" if kind == "spikes" else "graded input"
        raise DataError(
            f"data set {name}: samples of shape {got} have no time axis; this model takes {what} of shape "
            f"{wanted} (time first). To present each sample as a current at every step, give "
            f"{_option('constant', x)} where its file leaves that open, or make the model with that encoder"
        )
    if timed and got[1:] == model.shape:
        raise DataError(
            f"data set {name}: samples last {got[0]} steps, the model runs {model.timesteps}; give "
            f"--timesteps {got[0]} (timesteps=) where its file leaves that open{_or_lengths(got[0], model)}"
        )
    if not timed and got == (model.timesteps, *model.shape):
        raise DataError(
            f"data set {name}: samples have shape {got}, with a time axis; encoder {kind} takes {wanted}: "
            f"give {_option('graded', x)}"
        )
    raise DataError(
        f"data set {name}: samples have shape {got}, the model takes {wanted}; give data of that shape"
    )


def _or_lengths(steps: int, model: ModelInput) -> str:
    """How samples that are shorter than the model runs are run for their own steps."""
    if steps > model.timesteps:
        return ", or samples that last no longer"
    return (
        "; or say how long each lasts, in an array lengths beside x (lengths= in Python): "
        f"np.savez(path, x=x, y=y, lengths=np.full(len(x), {steps}))"
    )


def _option(kind: EncoderKind, x: Array) -> str:
    """How the user says what these samples are."""
    low, high = wide_range(x)
    return (
        f"--encoder {kind} --input-range {low:g},{high:g} (in Python: encoder={kind!r}, "
        f"input_range=({low:g}, {high:g}))"
    )


def wide_range(x: Array) -> tuple[float, float]:
    """A range of round numbers, from 0 at most to 1 at least, that holds every value that is finite."""
    kept = x[np.isfinite(x)] if x.dtype.kind == "f" else x
    ends = (float(kept.min()), float(kept.max())) if kept.size else (0.0, 1.0)
    return 0.0 - _rounded_up(max(-ends[0], 0.0)), max(_rounded_up(max(ends[1], 0.0)), 1.0)


def _rounded_up(value: float) -> float:
    """To two digits."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


def binary_spikes(name: str, x: Array) -> Array:
    """Check that an array holds only 0 and 1; return it as uint8, without a copy where it is in bytes.

    Raises
    ------
    DataError
        Another value, or a dtype that is not a number.
    """
    if x.dtype.kind not in "buif":
        raise DataError(f"data set {name}: spikes of dtype {x.dtype}; store 0 and 1 as uint8")
    if x.dtype == np.bool_:
        return x.view(np.uint8)
    if x.dtype.kind == "u" and x.size and _largest(x) <= 1:
        return x.astype(np.uint8, copy=False)
    found = np.empty(x.shape, dtype=np.bool_)
    for part, ones in zip(_blocks(x), _blocks(found), strict=True):
        np.equal(part, 1, out=ones)
        if np.count_nonzero(ones) != np.count_nonzero(part != 0):
            _check_finite(name, x)
            index = tuple(int(i) for i in np.argwhere((x != 0) & (x != 1))[0])
            raise DataError(
                f"data set {name}: x{list(index)} is {x[index]}, spikes are 0 or 1. Counts and real numbers "
                f"are another input: for a network that takes them, give {_option('graded', x)}"
            )
    return found.view(np.uint8)


def _largest(x: Array) -> int:
    """The largest value; of a mapped file, no more than a part is in memory."""
    parts = max(1, x.nbytes >> 26)
    found = 0
    for part in np.array_split(x, parts):
        found = max(found, int(part.max(initial=0)))
        let_go(part)
    return found


def _blocks(x: Array) -> list[Array]:
    """Parts along the first axis that fit a core's cache."""
    samples = max(1, 2**16 // max(1, x[:1].size))
    return [x[start : start + samples] for start in range(0, len(x), samples)]


def _floats(name: str, x: Array) -> Array:
    if x.dtype.kind == "f" and x.dtype.itemsize in (4, 8):
        return x.astype(x.dtype.newbyteorder("="), copy=False)
    if x.dtype.kind in "buif" and x.dtype.itemsize <= 2:
        return x.astype(np.float32)
    if x.dtype.kind in "ui" and (x.size == 0 or max(-int(x.min()), int(x.max())) <= 2**53):
        return x.astype(np.float64)
    raise DataError(f"data set {name}: x has dtype {x.dtype}; store it as float32")


def _check_finite(name: str, x: Array) -> None:
    unfit = np.argwhere(~np.isfinite(x))
    if len(unfit):
        index = [int(i) for i in unfit[0]]
        raise DataError(f"data set {name}: x{index} is {x[tuple(index)]}; every value must be finite")


def _in_range(name: str, x: Array, limits: tuple[float, float]) -> Array:
    lo, hi = limits
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        _check_finite(name, x)
    if low < lo or high > hi:
        raise DataError(
            f"data set {name}: values from {low:g} to {high:g} leave the model's input range "
            f"{lo:g} to {hi:g}; scale them as in training, or give --input-range (input_range=) where the "
            "model was trained on them"
        )
    return x


def _labels(name: str, y: Array, samples: int) -> Array:
    if y.shape != (samples,):
        one_hot = "; of one-hot rows, give y.argmax(1)" if y.ndim == 2 and len(y) == samples else ""
        raise DataError(
            f"data set {name}: y has shape {y.shape}, must be ({samples},): one label per sample{one_hot}"
        )
    whole = y.dtype.kind in "ui" or (y.dtype.kind == "f" and bool((y == np.rint(y)).all()))
    if not whole or not np.isfinite(y).all():
        raise DataError(
            f"data set {name}: y of dtype {y.dtype} has labels that are not whole numbers from 0; number the "
            "classes: names, y = np.unique(y, return_inverse=True)"
        )
    low, high = y.min(), y.max()
    if low < 0 or high > np.iinfo(np.int32).max:
        raise DataError(f"data set {name}: labels from {low} to {high}; they must be from 0 to 2147483647")
    return y.astype(np.int64)


def _read_only(array: Array) -> Array:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
