"""Augmentation of batches, drawn from torch's random state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from sne_deploy.distill.data.corruptions import SEEDS, corrupted

if TYPE_CHECKING:
    from sne_deploy.distill.experiment import DataModel
    from sne_deploy.distill.training.loop import Transform

LEAST_CONTRAST = 0.25
"""That augmentation leaves of an image's."""
CUT_PARTS = 4
"""A cut-out square's side is the image's shorter one divided by this."""


def transform_of(described: DataModel) -> Transform | None:
    """Augmentation of the experiment's images, with its corruptions behind it; None where there is neither.

    The first tensor of a batch is images; all is drawn from torch's random state. A corrupted image has one
    number of it, its seed: without corruptions the same is drawn as if there were no such thing.
    """
    augment, corruptions = batch_transform(described.augment), described.corruptions
    if corruptions is None:
        return augment

    def transform(batch: Sequence[Tensor]) -> Sequence[Tensor]:
        images, *others = batch if augment is None else augment(batch)
        seeds = torch.randint(SEEDS, (len(images),), device=images.device)
        return [corrupted(images, seeds, corruptions, described.input_range), *others]

    return transform


def batch_transform(kind: str) -> Transform | None:
    """Augmentation of a batch whose first tensor is images; it draws from torch's random state.

    ``shift``: zero padding of 2, then a random crop. ``crop-flip``: padding of 4 by reflection, a random
    crop, and a mirror image half of the time. ``-contrast`` behind either: half of the time, each value is
    drawn towards the image's mean, to a part of its distance that is uniform in [0.25, 1]. ``-cutout``: a
    square of a quarter of the shorter side gets the image's mean, anywhere that its centre is inside.
    """
    if kind == "none":
        return None
    contrast, cutout = kind.endswith("-contrast"), kind.endswith("-cutout")
    margin, mode, mirror = (2, "constant", False) if kind.startswith("shift") else (4, "reflect", True)

    def transform(batch: Sequence[Tensor]) -> Sequence[Tensor]:
        images = _cropped(batch[0], margin, mode)
        if mirror:
            flipped = (torch.rand(len(images)) < 0.5).to(images.device)
            images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        if contrast:
            images = _faded(images)
        if cutout:
            images = _cut(images)
        return [images, *batch[1:]]

    return transform


def _faded(images: Tensor) -> Tensor:
    """Half of the images with less contrast."""
    chosen, drawn = torch.rand(2, len(images))
    kept = torch.where(chosen < 0.5, 1 - (1 - LEAST_CONTRAST) * drawn, 1.0)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + kept.to(images.device)[:, None, None, None] * (images - mean)


def _cut(images: Tensor) -> Tensor:
    """Images with a square of a quarter of their shorter side, cut at the border, at their mean."""
    count, _, height, width = images.shape
    half = min(height, width) / CUT_PARTS / 2
    inside = [
        ((torch.arange(size) + 0.5 - size * torch.rand(count, 1)).abs() < half).to(images.device)
        for size in (height, width)
    ]
    hole = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    return torch.where(hole, images.mean(dim=(1, 2, 3), keepdim=True), images)


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
