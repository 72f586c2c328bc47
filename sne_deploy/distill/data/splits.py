"""An experiment's data: training, validation and the students' own copies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sne_deploy.data import DataSet, load_data
from sne_deploy.data.dataset import ModelInput, fit_to_model
from sne_deploy.distill.data.augment import transform_of
from sne_deploy.distill.data.enough import check_enough, check_kept, check_labels
from sne_deploy.distill.data.given import digest_of
from sne_deploy.distill.data.own import own_data
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.errors import DataError
from sne_deploy.model.ensemble import Encoder

if TYPE_CHECKING:
    from sne_deploy.distill.data.given import Arrays
    from sne_deploy.distill.schema.data import DataModel
    from sne_deploy.distill.training.loop import Transform

Array = npt.NDArray[Any]
INPUT_SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
BATCH = 4096
TEST_SEED = 20240601
"""Of the samples of a single file that are kept to measure on: the same whatever the experiment's seed."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Samples and labels: images of shape (N, C, H, W), vectors (N, F), or series (N, T, ...).

    Attributes
    ----------
    x, y : Tensor
        Training samples, float32, and int64 labels.
    students_x, students_y : Tensor
        The same, followed by their augmented copies: whole versions of ``x``, one after the other.
    x_validation : Tensor
    y_validation : int64 array
    digest : str
        Of data of the user's own; "" of a published set, which its name stands for.
    lengths, students_lengths, validation_lengths : int64 Tensor or None
        Steps of each series, 1 to T; None where samples are no series.
    """

    x: Tensor
    y: Tensor
    students_x: Tensor
    students_y: Tensor
    x_validation: Tensor
    y_validation: Array
    digest: str = ""
    lengths: Tensor | None = None
    students_lengths: Tensor | None = None
    validation_lengths: Tensor | None = None

    def to(self, device: torch.device) -> Splits:
        """The same on a device, all of it; the validation data, which the host uses, stays where it is."""
        names = ("x", "y", "students_x", "students_y", "lengths", "students_lengths")
        parts = {name: getattr(self, name) for name in names}
        return replace(self, **{name: part.to(device) for name, part in parts.items() if part is not None})

    def rows(self, copies: int) -> int:
        """How many of the students' samples come first: the training images and this many copies."""
        return len(self.x) * (1 + copies)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample at one step."""
        return self.sample_shape if self.lengths is None else self.sample_shape[1:]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Of one sample, with all its steps: what a teacher takes."""
        return tuple(int(size) for size in self.x.shape[1:])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y.max()) + 1


def data_spec(described: DataModel, split: str) -> str:
    """The experiment's data as :func:`sne_deploy.data.load_data` names it.

    Raises
    ------
    DataError
        The data set needs a folder and has none.
    """
    if described.source == "arrays":
        raise DataError("data.source 'arrays': these are given in Python, as data=(x, y) of sne_deploy.train")
    if described.source == "digits":
        return "digits:train" if split == "train" else "digits"
    if described.file is not None:
        return described.file
    if described.folder is None:
        raise DataError(
            f"data.folder is missing: name the folder that holds {described.source}, in the file or with "
            "--data-folder" + ("; or data.file, a single FILE.npz" if described.source == "npz" else "")
        )
    if described.source == "npz":
        return str(Path(described.folder) / f"{split}.npz")
    middle = ":train" if split == "train" else ""
    return f"{described.source}{middle}:{described.folder}"


def load_splits(
    described: DataModel, seed: int, copies: int = 0, arrays: Arrays | None = None, timesteps: int = 1
) -> Splits:
    """Load the training split; its last ``validation`` samples, in a seeded order, are the validation data.

    ``copies`` augmented versions of the training samples are the students' beside them; ``arrays`` are the
    training split of source "arrays"; ``timesteps`` are the students', of series.

    Raises
    ------
    DataError
        The data is missing or damaged, or there are too few samples.
    """
    data = _training_split(described, arrays, timesteps)
    assert data.y is not None  # noqa: S101  the split has labels
    name = described.file or described.source
    check_kept(name, "validation", described.validation, len(data))
    order = np.random.default_rng(seed).permutation(len(data))
    own = described.source not in INPUT_SHAPES
    if own if described.stratified is None else described.stratified:
        order = stratified(order, data.y, described.validation)
    train, held_out = order[: -described.validation], order[-described.validation :]
    check_enough(name, described, data.y, train)
    if described.train_samples is not None:
        train = train[: described.train_samples]
    x = torch.from_numpy(np.asarray(data.x[train], np.float32))
    y = torch.from_numpy(np.asarray(data.y[train], np.int64))
    lengths = None if data.lengths is None else torch.from_numpy(data.lengths[train])
    transform = transform_of(described)
    versions = 1 if transform is None else 1 + copies
    students_x = x.repeat(versions, *[1] * (x.ndim - 1)) if versions > 1 else x
    if transform is not None:
        with deterministic(seed):
            for version in torch.split(students_x, len(x))[1:]:
                _transform(version, transform)
    return Splits(
        x=x,
        y=y,
        students_x=students_x,
        students_y=y.repeat(versions),
        x_validation=torch.from_numpy(np.asarray(data.x[held_out], np.float32)),
        y_validation=np.asarray(data.y[held_out], np.int64),
        digest=digest_of(_parts(data)),
        lengths=lengths,
        students_lengths=None if lengths is None else lengths.repeat(versions),
        validation_lengths=None if data.lengths is None else torch.from_numpy(data.lengths[held_out]),
    )


def _parts(data: DataSet) -> list[Array]:
    return [part for part in (data.x, data.y, data.lengths) if part is not None]


def stratified(order: Array, y: Array, last: int) -> Array:
    """The samples, of which each class has its share, rounded, of the ``last``; one stays before them.

    Parameters
    ----------
    order : int array of shape (N,)
        Samples.
    y : int array of shape (N,)
        Their classes, by sample.
    last : int
    """
    classes, sizes = np.unique(y, return_counts=True)
    share = last * sizes / len(y)
    taken = np.minimum(np.floor(share).astype(np.int64), sizes - 1)
    while taken.sum() < min(last, int((sizes - 1).sum())):
        free = np.flatnonzero(taken < sizes - 1)
        taken[free[np.argmax((share - taken)[free])]] += 1
    held_out = np.zeros(len(y), dtype=bool)
    for label, count in zip(classes, taken, strict=True):
        held_out[order[y[order] == label][::-1][:count]] = True
    return np.concatenate([order[~held_out[order]], order[held_out[order]]])


def _training_split(described: DataModel, arrays: Arrays | None, timesteps: int) -> DataSet:
    """The training split, with labels of which none is missing in between."""
    spec = "arrays:train" if arrays is not None else data_spec(described, "train")
    if described.source in INPUT_SHAPES:
        shape = INPUT_SHAPES[described.source]
        data = load_data(spec, input_shape=shape, timesteps=1, encoder=Encoder("constant"))
    else:
        data = own_data(spec, described, timesteps, arrays)
    if data.y is None:
        raise DataError(f"data {spec}: has no labels y; write them beside x: np.savez(path, x=x, y=y)")
    if data.x.ndim != 4 and (described.augment != "none" or described.corruptions is not None):
        what = "data.corruptions" if described.augment == "none" else f"data.augment {described.augment!r}"
        raise DataError(
            f"{what} needs images (channels, height, width), not samples of shape {data.x.shape[1:]}; leave "
            "it out"
        )
    transform = transform_of(described)
    if transform is not None and min(data.x.shape[2:]) < transform.least_side:
        raise DataError(
            f"data.augment {described.augment!r} needs sides of {transform.least_side} or more, not images "
            f"of shape {data.x.shape[1:]}; take 'shift', or leave it out"
        )
    check_labels(spec, data.y)
    return data if described.file is None else parts_of_file(described, data)[0]


def load_file(described: DataModel, timesteps: int) -> DataSet:
    """All of ``data.file``, checked; errors as for :func:`load_splits`."""
    spec = data_spec(described, "train")
    return own_data(spec, described, timesteps, None)


def parts_of_file(described: DataModel, data: DataSet) -> tuple[DataSet, DataSet]:
    """What is trained on and what is measured on, of a file that holds both: each class gives its share.

    Raises
    ------
    DataError
        Too few samples would be left to train on.
    """
    kept = described.test or 0
    check_kept(data.name, "test", kept, len(data))
    order = np.random.default_rng(TEST_SEED).permutation(len(data))
    order = order if data.y is None else stratified(order, data.y, kept)
    test = replace(data.taken(np.sort(order[-kept:])), name=f"{data.name}, {kept} of {len(data)} samples")
    return data.taken(np.sort(order[:-kept])), test


def load_test(described: DataModel, splits: Splits, arrays: Arrays | None = None) -> DataSet:
    """Load what is measured on: the test split; without one, the validation samples.

    Raises
    ------
    DataError
        The data is missing, damaged, has no labels, or does not fit what is trained on.
    """
    steps = 1 if splits.lengths is None else splits.sample_shape[0]
    takes = ModelInput(splits.input_shape, steps, described.encoder)
    if arrays is not None:
        data = fit_to_model("arrays:test", *arrays[:2], takes, lengths=arrays[2])
    elif described.source == "arrays":
        own = splits.validation_lengths
        lengths = None if own is None else own.numpy()
        return DataSet("arrays:validation", splits.x_validation.numpy(), splits.y_validation, lengths)
    elif described.file is not None:
        data = parts_of_file(described, load_file(described, steps))[1]
    else:
        spec = data_spec(described, "test")
        data = load_data(
            spec,
            input_shape=takes.shape,
            timesteps=steps,
            encoder=takes.encoder,
            bin_width=described.bin_width,
        )
    if data.y is None:
        raise DataError(f"data {data.name}: has no labels y")
    if int(data.y.max()) >= splits.classes:
        raise DataError(
            f"data {data.name}: label {data.y.max()}, but training sees none above {splits.classes - 1}"
        )
    return data


def _transform(x: Tensor, transform: Transform) -> None:
    """Transform images where they lie: all versions of a large set fit in memory once, not twice."""
    for part in torch.split(x, BATCH):
        part.copy_(transform([part])[0])
