"""Whether there are labels to learn, and samples enough to learn them from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from sne_deploy.distill.schema.data import DataModel

Array = npt.NDArray[Any]
MAX_CLASSES = 10_000
MIN_TRAINED = 10
"""Samples to train on, in all: a batch's mean and variance need several."""


def check_labels(spec: str, y: Array) -> None:
    """Refuse labels that are not 0, 1, 2, ... without a gap.

    A label far from all others is a damaged file, and would be a class of its own.
    """
    present = np.unique(y)
    gaps = np.flatnonzero(np.diff(present, prepend=-1) > 1)
    why = f"at most {MAX_CLASSES} classes can be learnt" if present[-1] >= MAX_CLASSES else ""
    if gaps.size:
        missing = present[gaps[0] - 1] + 1 if gaps[0] else 0
        why = f"no sample has label {missing}"
    if why:
        raise DataError(
            f"data {spec}: labels go up to {present[-1]}, but {why}; number the classes from "
            "0: y = np.unique(y, return_inverse=True)[1]; or get the data again"
        )
    if len(present) < 2:
        raise DataError(
            f"data {spec}: all {len(y)} samples are of class 0; give samples of two classes or more"
        )


def check_kept(spec: str, key: str, kept: int, samples: int) -> None:
    """Refuse to keep more samples than leave enough to train on."""
    if samples - kept < MIN_TRAINED:
        raise DataError(
            f"data {spec}: data.{key} {kept} leaves {max(0, samples - kept)} of {samples} samples to train "
            f"on, and {MIN_TRAINED} are the least; "
            + (
                f"lower it to {samples - MIN_TRAINED} or less"
                if samples - MIN_TRAINED >= MIN_TRAINED
                else "give more"
            )
        )


def check_enough(spec: str, described: DataModel, y: Array, train: Array) -> None:
    """Refuse a split without samples of some class to train on.

    Parameters
    ----------
    spec : str
    described : DataModel
    y : int array of shape (N,)
        All labels, without those that are kept to measure on.
    train : int array
        Which of them are trained on.
    """
    wanted = described.train_samples
    if wanted is not None and wanted > len(train):
        raise DataError(
            f"data {spec}: data.train_samples {wanted} is more than the {len(train)} that data.validation "
            f"{described.validation} leaves of {len(y)}; lower one of them, or leave train_samples out"
        )
    used = train if wanted is None else train[:wanted]
    if len(used) < MIN_TRAINED:
        raise DataError(
            f"data {spec}: data.train_samples {wanted} is less than {MIN_TRAINED}, the least; raise it"
        )
    absent = np.setdiff1d(y, y[used])
    if absent.size:
        key = "validation" if wanted is None else "train_samples"
        size = np.count_nonzero(y == absent[0])
        raise DataError(
            f"data {spec}: class {absent[0]} has {size} samples, and none of them "
            f"is among the {len(used)} that are trained on; {'lower' if wanted is None else 'raise'} "
            f"data.{key} {wanted or described.validation}, or set data.stratified = true"
        )
