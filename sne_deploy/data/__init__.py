"""Data sets, one file per source, and the spike encoders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sne_deploy.data.cifar10 import load_cifar10
from sne_deploy.data.dataset import DataSet, ModelInput, Source, Split, fit_to_model, select_samples
from sne_deploy.data.digits import digits_split, load_digits_source
from sne_deploy.data.encode import encode
from sne_deploy.data.events import NAMES, are_events, binned
from sne_deploy.data.mnist import load_mnist
from sne_deploy.data.npy import is_npy, load_npy, npy_shape
from sne_deploy.data.npz import load_npz, npz_shape, read_arrays
from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sne_deploy.model.ensemble import Encoder

__all__ = ["SOURCES", "DataSet", "digits_split", "encode", "load_data", "select_samples", "time_axis"]

SOURCES: Mapping[str, Source] = {"digits": load_digits_source, "mnist": load_mnist, "cifar10": load_cifar10}
"""Named data sets, as ``NAME[:train][:DIR]``; anything that ends in .npz is a file."""
FORMS = "digits, mnist:DIR, cifar10:DIR (each also as NAME:train...), FILE.npz or X.npy:Y.npy"


def load_data(
    spec: str,
    *,
    input_shape: tuple[int, ...],
    timesteps: int,
    encoder: Encoder,
    bin_width: float | None = None,
) -> DataSet:
    """Load a data set for a model.

    Parameters
    ----------
    spec : str
        ``digits``, ``digits:train``, ``mnist:DIR``, ``mnist:train:DIR``, ``cifar10:DIR``,
        ``cifar10:train:DIR``, ``FILE.npz``, ``X.npy`` or ``X.npy:Y.npy``. Without ``train`` it is the test
        split.
    input_shape : tuple of int
        One sample at one step; images are also given flat where the model takes a vector.
    timesteps : int
    encoder : Encoder
        ``spikes`` needs data with a time axis, of 0 and 1.
    bin_width : float or None
        Of a step, in units of the times of recorded events.

    Returns
    -------
    DataSet
        Arrays are read-only.

    Raises
    ------
    DataError
        An unknown spec, or data that is missing, damaged or does not fit the model: in one line.
    """
    source, split, path = _parse(spec)
    takes = ModelInput(tuple(input_shape), timesteps, encoder)
    more = read_arrays(path, NAMES) if source is load_npz and path is not None else {}
    lengths = more.get("lengths")
    if are_events(more):
        return fit_to_model(
            spec, binned(spec, more, takes, bin_width), more.get("labels"), takes, lengths=lengths
        )
    if bin_width is not None:
        raise DataError(f"--bin-width {bin_width:g} is for events, and data {spec} has none; leave it out")
    x, y = source(split, path) if "x" not in more else (more["x"], more.get("y"))
    return fit_to_model(spec, x, y, takes, lengths=lengths)


def time_axis(spec: str) -> int | None:
    """Read how many time steps the samples of a file of spikes have; None for images and events.

    Parameters
    ----------
    spec : str
        As in :func:`load_data`.

    Returns
    -------
    int or None
        The second axis of ``x`` of shape (N, T, ...), from its header alone.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    if is_npy(spec):
        shape = npy_shape(spec)
    elif spec.endswith(".npz"):
        shape = npz_shape(Path(spec))
    else:
        return None
    return shape[1] if len(shape) >= 3 else None


def _parse(spec: str) -> tuple[Source, Split, Path | None]:
    if spec.endswith(".npz"):
        return load_npz, "test", Path(spec)
    if is_npy(spec):
        return load_npy, "test", Path(spec)
    name, _, rest = spec.partition(":")
    if name not in SOURCES:
        raise DataError(f"unknown data {spec!r}; give one of {FORMS}")
    split: Split = "test"
    if rest == "train" or rest.startswith("train:"):
        split, rest = "train", rest[len("train:") :]
    if name == "digits" and rest:
        raise DataError(f"unknown data {spec!r}: digits are embedded; give digits or digits:train")
    if name != "digits" and not rest:
        raise DataError(f"data {spec!r} lacks its folder; give {name}:DIR or {name}:train:DIR")
    return SOURCES[name], split, Path(rest) if rest else None
