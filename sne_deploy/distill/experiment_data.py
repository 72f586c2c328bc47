"""An experiment's data: training, validation and the students' own copies; augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from sne_deploy.data import SOURCES, load_data
from sne_deploy.distill.determinism import deterministic
from sne_deploy.ensembles import Encoder
from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from sne_deploy.distill.experiment import DataModel
    from sne_deploy.distill.training import Transform

Array = npt.NDArray[Any]
INPUT_SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
BATCH = 4096


@dataclass(frozen=True, eq=False)
class Splits:
    """Images of shape (N, C, H, W) in [0, 1], and labels.

    Attributes
    ----------
    x, y : Tensor
        Training images and int64 labels.
    students_x, students_y : Tensor
        The same, followed by their augmented copies.
    x_validation : Tensor
    y_validation : int64 array
    """

    x: Tensor
    y: Tensor
    students_x: Tensor
    students_y: Tensor
    x_validation: Tensor
    y_validation: Array

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image."""
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
    if described.source not in SOURCES:
        raise DataError(f"data.source: {described.source!r} is unknown; known: {', '.join(SOURCES)}")
    if described.source == "digits":
        return "digits:train" if split == "train" else "digits"
    if described.folder is None:
        raise DataError(
            f"data.folder is missing: name the folder that holds {described.source}, in the file or with "
            "--data-folder"
        )
    middle = ":train" if split == "train" else ""
    return f"{described.source}{middle}:{described.folder}"


def load_splits(described: DataModel, seed: int, copies: int = 0) -> Splits:
    """Load the training split; its last ``validation`` samples, in a seeded order, are the validation data.

    Parameters
    ----------
    described : DataModel
    seed : int
        Of the split and of the augmented copies.
    copies : int
        Augmented versions of the training samples that the students get beside them.

    Raises
    ------
    DataError
        The data is missing or damaged, or there are too few samples.
    """
    spec = data_spec(described, "train")
    shape = INPUT_SHAPES[described.source]
    data = load_data(spec, input_shape=shape, timesteps=1, encoder=Encoder("constant"))
    if data.y is None:
        raise DataError(f"data {spec}: has no labels")
    order = np.random.default_rng(seed).permutation(len(data))
    train, held_out = order[: -described.validation], order[-described.validation :]
    if described.train_samples is not None:
        train = train[: described.train_samples]
    if len(train) < 2 or described.validation >= len(data):
        raise DataError(
            f"data.validation {described.validation} leaves {len(train)} of {len(data)} samples to train on"
        )
    x = torch.from_numpy(np.asarray(data.x[train], np.float32))
    y = torch.from_numpy(np.asarray(data.y[train], np.int64))
    transform = batch_transform(described.augment)
    versions = [x]
    if transform is not None:
        with deterministic(seed):
            versions += [_transformed(x, transform) for _ in range(copies)]
    return Splits(
        x=x,
        y=y,
        students_x=torch.cat(versions) if len(versions) > 1 else x,
        students_y=y.repeat(len(versions)),
        x_validation=torch.from_numpy(np.asarray(data.x[held_out], np.float32)),
        y_validation=np.asarray(data.y[held_out], np.int64),
    )


def _transformed(x: Tensor, transform: Transform) -> Tensor:
    return torch.cat([transform([part])[0] for part in torch.split(x, BATCH)])


def batch_transform(kind: str) -> Transform | None:
    """Augmentation of a batch whose first tensor is images; it draws from torch's random state.

    ``shift``: zero padding of 2, then a random crop. ``crop-flip``: padding of 4 by reflection, a random
    crop, and a mirror image half of the time.
    """
    if kind == "none":
        return None
    margin, mode, mirror = (2, "constant", False) if kind == "shift" else (4, "reflect", True)

    def transform(batch: Sequence[Tensor]) -> Sequence[Tensor]:
        images = _cropped(batch[0], margin, mode)
        if mirror:
            flipped = torch.rand(len(images)) < 0.5
            images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        return [images, *batch[1:]]

    return transform


def _cropped(images: Tensor, margin: int, mode: str) -> Tensor:
    """Each image at a random place of its padded version."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (margin,) * 4, mode=mode)
    places = torch.randint(0, 2 * margin + 1, (2, count))
    rows = (places[0][:, None] + torch.arange(height))[:, None, :, None]
    columns = (places[1][:, None] + torch.arange(width))[:, None, None, :]
    sample = torch.arange(count)[:, None, None, None]
    channel = torch.arange(images.shape[1])[None, :, None, None]
    return padded[sample, channel, rows, columns]
