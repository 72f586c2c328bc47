"""What one's data are: kind, shape, range, classes; what could not be trained on is refused with a remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sne_deploy.data import SOURCES, load_data
from sne_deploy.data.dataset import ModelInput, fit_to_model, wide_range
from sne_deploy.data.events import NAMES, are_events, binned, recordings
from sne_deploy.data.npz import read_arrays
from sne_deploy.distill.data.enough import check_labels
from sne_deploy.distill.data.splits import INPUT_SHAPES
from sne_deploy.errors import DataError
from sne_deploy.model.ensemble import Encoder

Array = npt.NDArray[Any]
Kind = Literal["image", "vector", "series"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CHANNELS = (1, 3, 4)
"""Of images as cameras and files give them."""
EVENT_STEPS, MAX_PLACES = 20, 2**15
"""Steps of the longest recording of events, or one more: enough to tell early from late; places of axes."""
MIN_SAMPLES, MIN_OF_A_CLASS = 50, 3
"""In all, and of each class: some to train on, some to choose by, some to test on."""


@dataclass(frozen=True)
class Survey:
    """What data are.

    Attributes
    ----------
    source : str
        As ``data.source`` of an experiment; ``path`` is its file or folder, "" for the embedded digits.
    kind : {"image", "vector", "series"}
    shape : tuple of int
        One sample: (channels, height, width), (values,), or (steps, ...).
    counts : tuple of int
        Samples of each class, of all that can be trained on.
    input_range : (float, float)
        Round numbers between which all values lie.
    binary : bool
        Every value is 0 or 1.
    lengths : bool
        Series differ in length.
    bin_width : float or None
        Of recorded events: what a step of the shape lasts, in units of their times.
    notes : tuple of str
        What was taken for what, where it could have been something else.
    """

    source: str
    path: str
    kind: Kind
    shape: tuple[int, ...]
    counts: tuple[int, ...]
    input_range: tuple[float, float] = (0.0, 1.0)
    binary: bool = False
    lengths: bool = False
    bin_width: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Number of them."""
        return sum(self.counts)


def survey(spec: str, kind: Kind | None = None) -> Survey:
    """Look at data.

    Parameters
    ----------
    spec : str
        ``FILE.npz`` with ``x`` and ``y``, ``mnist:DIR``, ``cifar10:DIR`` or ``digits``.
    kind : {"image", "vector", "series"}, optional
        Where it does not follow from the shape.

    Raises
    ------
    DataError
        The data are missing or damaged, or cannot be trained on as they are; says what to change.
    """
    name, _, folder = spec.partition(":")
    if spec.endswith(".npz"):
        return _survey_file(spec, kind)
    if name not in SOURCES:
        raise DataError(
            f"--data {spec!r}: give FILE.npz with arrays x and y, mnist:DIR, cifar10:DIR or digits"
        )
    shape = INPUT_SHAPES[name]
    trained = f"{name}:train:{folder}" if folder else f"{name}:train"
    found = load_data(trained, input_shape=shape, timesteps=1, encoder=Encoder("constant"))
    if found.y is None:
        raise DataError(f"--data {spec}: has no labels")
    return Survey(name, folder, "image", shape, tuple(np.bincount(found.y).tolist()))


def _survey_file(spec: str, kind: Kind | None) -> Survey:
    arrays = read_arrays(Path(spec), ("x", *NAMES, "y"))
    if are_events(arrays):
        return _survey_events(spec, arrays, kind)
    if "x" not in arrays:
        raise DataError(f"{spec}: has no array x; write it with np.savez(path, x=x, y=y)")
    x = arrays["x"]
    counts = _class_counts(spec, arrays)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = np.unique(np.argwhere(~np.isfinite(x))[:, 0])
        raise DataError(
            f"{spec}: x is not finite in {len(bad)} samples, the first is {bad[0]}; fill the gaps, or drop "
            "them: good = np.isfinite(x.reshape(len(x), -1)).all(1); np.savez(path, x=x[good], y=y[good])"
        )
    found, notes = (kind, ()) if kind is not None else _kind(x, "lengths" in arrays)
    shape = _sample_shape(spec, x, found)
    low, high = (0.0, 255.0) if x.dtype == np.uint8 and x.max() > 1 else _round_range(x)
    if x.min() == x.max():
        raise DataError(
            f"{spec}: every value of x is {x.min():g}: there is nothing to learn from; save it again"
        )
    binary = bool(((x == 0) | (x == 1)).all())
    lengths = found == "series" and "lengths" in arrays
    taken = ModelInput(shape, 1, Encoder("constant", (low, high)))
    if found != "series":
        fit_to_model(spec, x, None, taken)
    return Survey("npz", spec, found, shape, counts, (low, high), binary, lengths, notes=notes)


def _survey_events(spec: str, events: Mapping[str, Array], kind: Kind | None) -> Survey:
    """Recordings of events, as spikes in steps of which the longest recording has ``EVENT_STEPS``."""
    if kind not in (None, "series"):
        raise DataError(f"{spec}: holds recorded events, which are series; leave --kind {kind} out")
    if "labels" not in events:
        raise DataError(
            f"{spec}: has events, but no labels of its recordings, and there is nothing to learn without; "
            "write them beside t as labels, of shape (N,) from 0"
        )
    shape = _event_shape(spec, events)
    width, steps = _event_steps(spec, events)
    x = binned(spec, events, ModelInput(shape, steps, Encoder("spikes")), width)
    counts = _class_counts(spec, {"x": x, "y": events["labels"]})
    note = (
        f"recorded events become spikes of shape {(steps, *shape)}, a step of {width:g} in units of t; "
        "change data.bin_width and students.timesteps together, and give sne-compile the same --bin-width"
    )
    return Survey("npz", spec, "series", (steps, *shape), counts, binary=True, bin_width=width, notes=(note,))


def _event_shape(spec: str, events: Mapping[str, Array]) -> tuple[int, ...]:
    """As many places along each axis as the events need: (n,), (h, w), or (c, h, w)."""
    axes = [axis for axis in ("p", "y", "x") if axis in events and (axis != "p" or "y" in events)]
    bad = next((a for a in axes if events[a].dtype.kind not in "bui" or not events[a].size), None)
    if bad is not None or "x" not in axes:
        raise DataError(
            f"{spec}: {bad or 'x'} of the events must be whole numbers from 0, one for each event in t"
        )
    shape = tuple(int(events[axis].max()) + 1 for axis in axes)
    if max(shape) > MAX_PLACES:
        axis, size = max(zip(axes, shape, strict=True), key=lambda one: one[1])
        raise DataError(
            f"{spec}: {axis} of the events is up to {size - 1}; below {MAX_PLACES} can be trained on"
        )
    return shape


def _event_steps(spec: str, events: Mapping[str, Array]) -> tuple[float, int]:
    """Width of a step, of two digits, and the number of steps of the longest recording."""
    t, offsets = recordings(spec, events)
    parts = [t[begin:end] for begin, end in pairwise(offsets)]
    longest = max((float(np.ptp(part)) for part in parts if len(part)), default=0.0)
    if not longest > 0:
        raise DataError(f"{spec}: every recording is a single moment; give the times of its events as t")
    unit = 10.0 ** (math.floor(math.log10(longest / EVENT_STEPS)) - 1)
    width = float(f"{math.ceil(longest / EVENT_STEPS / unit) * unit:.6g}")
    return width, math.floor(longest / width) + 1


def _round_range(x: Array) -> tuple[float, float]:
    """As few digits as hold all values."""
    low, high = (float(f"{end:.6g}") for end in wide_range(x))
    return (low, high) if low <= x.min() and x.max() <= high else wide_range(x)


def _class_counts(spec: str, arrays: Mapping[str, Array]) -> tuple[int, ...]:
    """Samples of each class; labels are from 0 without a gap."""
    x = arrays["x"]
    if x.ndim < 2 or 0 in x.shape:
        raise DataError(f"{spec}: x has shape {x.shape}; give (N, ...), a row for each sample")
    if "y" not in arrays:
        raise DataError(
            f"{spec}: has no labels y, and there is nothing to learn without; write them beside x with "
            "np.savez(path, x=x, y=y), y of shape (N,) from 0"
        )
    labels = fit_to_model(
        spec, np.zeros((len(x), 1), np.float32), arrays["y"], ModelInput((1,), 1, Encoder("constant"))
    ).y
    assert labels is not None  # noqa: S101  they were given
    check_labels(spec, labels)
    counts = np.bincount(labels)
    if len(labels) < MIN_SAMPLES:
        raise DataError(
            f"{spec}: has {len(labels)} samples, and {MIN_SAMPLES} are needed: to train on, to choose by, to "
            "test on; add some"
        )
    rare = np.flatnonzero(counts < MIN_OF_A_CLASS)
    if rare.size:
        raise DataError(
            f"{spec}: class {rare[0]} has {counts[rare[0]]} samples, {MIN_OF_A_CLASS} are needed: to train "
            "on, to choose by, to test on; add some, or drop the class and number the others from 0"
        )
    return tuple(counts.tolist())


def _kind(x: Array, lengths: bool) -> tuple[Kind, tuple[str, ...]]:
    """What the shape says, and what was assumed."""
    shape, size = x.shape[1:], f"x of shape {x.shape}"
    if lengths or len(shape) > 3:
        return "series", ()
    if len(shape) == 1:
        return "vector", ()
    if len(shape) == 3:
        return "image", ()
    if shape[0] == shape[1]:
        return "image", (f"{size} is taken for images of one channel; --kind series if axis 1 is time",)
    return "series", (f"{size} is taken for series, axis 1 is time; --kind image if it is no time",)


def _sample_shape(spec: str, x: Array, kind: Kind) -> tuple[int, ...]:
    """One sample; of images with their channels first."""
    shape = tuple(int(size) for size in x.shape[1:])
    axes = {"vector": (1,), "image": (2, 3), "series": (2, 3, 4)}[kind]
    if len(shape) not in axes:
        wanted = {
            "vector": "(N, values)",
            "image": "(N, channels, height, width)",
            "series": "(N, steps, ...)",
        }
        raise DataError(f"{spec}: x has shape {x.shape}; --kind {kind} takes {wanted[kind]}")
    if kind != "image":
        return shape
    if len(shape) == 2:
        return (1, *shape)
    if shape[2] in CHANNELS and shape[0] not in CHANNELS:
        raise DataError(
            f"{spec}: x has shape {x.shape}, with the channels last; put them first: "
            "np.savez(path, x=x.transpose(0, 3, 1, 2), y=y)"
        )
    return shape
