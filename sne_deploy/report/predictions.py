"""``predictions.npz`` beside ``report.json``: what was predicted, sample by sample.

Arrays: ``predictions`` int64 (N,), ``logits`` float64 (N, classes), ``active`` bool (N, students), and
``labels`` int64 (N,) where there were any.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.brief import briefly
from sne_deploy.errors import InputError
from sne_deploy.files import atomic_path, ensure_folder

Array = npt.NDArray[Any]

PREDICTIONS_NAME = "predictions.npz"
_KINDS = {"predictions": (np.int64, 1), "logits": (np.float64, 2), "active": (np.bool_, 2)}
_LABELS = {"labels": (np.int64, 1)}


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """Of N samples; see the module.

    Attributes
    ----------
    predictions : int64 array of shape (N,)
    logits : float64 array of shape (N, classes)
    active : bool array of shape (N, students)
        Who ran on which sample.
    labels : int64 array of shape (N,), or None
    """

    predictions: Array
    logits: Array
    active: Array
    labels: Array | None


def save_predictions(found: Predictions, folder: str | os.PathLike[str]) -> Path:
    """Write ``predictions.npz`` atomically; the file."""
    path = ensure_folder(folder) / PREDICTIONS_NAME
    arrays: dict[str, Any] = {
        "predictions": found.predictions,
        "logits": found.logits,
        "active": found.active,
    } | ({} if found.labels is None else {"labels": found.labels})
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    return path


def load_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read ``predictions.npz``, or the one in a folder; nothing is unpickled, sizes are bounded.

    Parameters
    ----------
    path : path

    Returns
    -------
    Predictions

    Raises
    ------
    InputError
        Missing, damaged, or not such a file.
    """
    from sne_deploy.data.npz import read_arrays

    file = Path(path)
    file = file / PREDICTIONS_NAME if file.is_dir() else file
    arrays = read_arrays(file, [*_KINDS, *_LABELS])
    for name, (kind, axes) in (_KINDS | _LABELS).items():
        if name not in arrays and name in _LABELS:
            continue
        if name not in arrays or arrays[name].dtype != kind or arrays[name].ndim != axes:
            raise InputError(f"{file}: not the predictions of a run: {name} is missing or of another type")
        if len(arrays[name]) != len(arrays["predictions"]):
            raise InputError(f"{file}: {name} has another number of samples than predictions")
    return Predictions(arrays["predictions"], arrays["logits"], arrays["active"], arrays.get("labels"))
