"""The teacher, from its ONNX file: its accuracy on the same samples, and its multiply-accumulates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sne_deploy.errors import DataError
from sne_deploy.teacher.onnx_macs import MacCount
from sne_deploy.teacher.onnx_model import TeacherError, read_onnx
from sne_deploy.teacher.process import Array, TeacherProcess


@dataclass(frozen=True)
class TeacherResult:
    """What the teacher achieves and costs.

    Attributes
    ----------
    accuracy : float or None
        Fraction of correct predictions; None without labels.
    macs : int
        Multiply-accumulates per sample; a lower bound where ``uncounted`` is not empty.
    macs_per_operator : mapping of str to int
        The operators that were counted.
    uncounted : tuple of str
        Operators whose MACs are unknown, with how often they occur, such as ``"LSTM x2"``.
    samples : int
    """

    accuracy: float | None
    macs: int
    macs_per_operator: Mapping[str, int]
    uncounted: tuple[str, ...]
    samples: int


def evaluate_teacher(path: str | os.PathLike[str], x: Array, y: Array | None) -> TeacherResult:
    """Run a teacher on the CPU with onnxruntime, and count its MACs.

    The teacher has one input [batch, ...], batch free or fixed, and one output [batch, classes] (or one
    named ``logits``); its prediction is the largest output. Each sample is reshaped to the input's shape
    where one of the two is flat or they differ in axes of length 1, such as (1, 8, 8) to (64,).

    Parameters
    ----------
    path : path
        ONNX file.
    x : float array of shape (N, ...)
    y : int array of shape (N,), or None

    Returns
    -------
    TeacherResult

    Raises
    ------
    TeacherError
        The file or the graph in it cannot be used, or does not fit the samples.
    DataError
        Labels that do not fit the samples or the classes.
    """
    name = Path(path).name
    data = read_onnx(Path(path))
    if len(x) == 0:
        raise DataError(f"teacher {name!r}: there are no samples; give at least one")
    if y is not None and y.shape != (len(x),):
        raise DataError(f"teacher {name!r}: labels of shape {y.shape} do not fit {len(x)} samples")
    samples = np.asarray(x)
    with TeacherProcess(data, name) as teacher:
        teacher.check(samples)
        logits = teacher.rows(samples)
        batch, macs = teacher.count()
    counted = _of_one_sample(macs, batch, name)
    return TeacherResult(
        accuracy=None if y is None else _accuracy(logits, y, name),
        macs=counted.total,
        macs_per_operator=counted.per_operator,
        uncounted=counted.uncounted,
        samples=len(x),
    )


def count_network(path: str | os.PathLike[str]) -> MacCount:
    """MACs of one sample of any ONNX network whose one input has fixed sizes, but for the batch.

    Raises
    ------
    TeacherError
        The file or the graph in it cannot be used.
    """
    name = Path(path).name
    with TeacherProcess(read_onnx(Path(path)), name) as network:
        network.declare()
        batch, macs = network.count()
    return _of_one_sample(macs, batch, name)


def _of_one_sample(macs: MacCount, batch: int, name: str) -> MacCount:
    each = {key: _per_sample(count, batch, name) for key, count in macs.per_operator.items()}
    return MacCount(_per_sample(macs.total, batch, name), each, macs.uncounted)


def _accuracy(logits: Array, y: Array, name: str) -> float:
    if int(y.max()) >= logits.shape[1] or int(y.min()) < 0:
        raise DataError(
            f"teacher {name!r}: labels {int(y.min())} to {int(y.max())} do not fit its "
            f"{logits.shape[1]} classes; use the data that it was trained on"
        )
    return float(np.mean(logits.argmax(axis=1) == y))


def _per_sample(macs: int, batch: int, name: str) -> int:
    if macs % batch:
        raise TeacherError(
            f"teacher {name!r}: {macs} MACs for a fixed batch of {batch} are no whole number per sample; "
            f"export with a free batch"
        )
    return macs // batch
