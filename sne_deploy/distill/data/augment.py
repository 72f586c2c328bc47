"""Augmentation: a few numbers are drawn for each image, of which it is made anew wherever it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from sne_deploy.distill.data.corruptions import SEEDS, corrupted

if TYPE_CHECKING:
    from sne_deploy.distill.schema.corruptions import CorruptionsModel
    from sne_deploy.distill.schema.data import DataModel

LEAST_CONTRAST = 0.25
"""That augmentation leaves of an image's."""
CUT_PARTS = 4
"""A cut-out square's side is the image's shorter one divided by this."""
Drawn = tuple[Tensor, ...]
"""What was drawn for N images: tensors of shape (N,), which say all that is random about them."""


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of images on the device where they lie, all of a batch at once, and nothing waits for it.

    Called with a batch whose first tensor is images of shape (N, C, H, W), it draws and makes them.

    ``shift``: zero padding of 2, then a random crop. ``crop-flip``: padding of 4 by reflection, a random
    crop, and a mirror image half of the time. ``-contrast`` behind either: half of the time, each value is
    drawn towards the image's mean, to a part of its distance that is uniform in [0.25, 1]. ``-cutout``: a
    square of a quarter of the shorter side gets the image's mean, anywhere that its centre is inside.

    Attributes
    ----------
    kind : str
        As ``data.augment`` names it.
    corruptions : CorruptionsModel or None
        What comes behind it; an image's has one number, its seed.
    bounds : pair of float
        The lowest and the highest value of an image, for corruptions.
    """

    kind: str
    corruptions: CorruptionsModel | None = None
    bounds: tuple[float, float] = (0.0, 1.0)

    def draw(self, count: int, device: torch.device | str = "cpu") -> Drawn:
        """For so many images, from torch's random state of that device."""
        drawn: list[Tensor] = []
        if self._margin:
            drawn += torch.randint(0, 2 * self._margin + 1, (2, count), device=device)
        if self._mirrors:
            drawn.append(torch.rand(count, device=device) < 0.5)
        if self._fades:
            chosen, towards = torch.rand(2, count, device=device)
            drawn.append(torch.where(chosen < 0.5, 1 - (1 - LEAST_CONTRAST) * towards, 1.0))
        if self._cuts:
            drawn += [torch.rand(count, device=device) for _ in range(2)]
        if self.corruptions is not None:
            drawn.append(torch.randint(SEEDS, (count,), device=device))
        return tuple(drawn)

    def make(self, images: Tensor, drawn: Drawn) -> Tensor:
        """The augmented images: of the same images and numbers the same ones, in any batch."""
        numbers, made = iter(drawn), images
        if self._margin:
            mode = "reflect" if self._mirrors else "constant"
            made = _cropped(made, next(numbers), next(numbers), self._margin, mode)
        if self._mirrors:
            made = torch.where(next(numbers)[:, None, None, None], made.flip(3), made)
        if self._fades:
            mean = made.mean(dim=(1, 2, 3), keepdim=True)
            made = mean + next(numbers)[:, None, None, None] * (made - mean)
        if self._cuts:
            made = _cut(made, next(numbers), next(numbers))
        if self.corruptions is not None:
            made = corrupted(made, next(numbers), self.corruptions, self.bounds)
        return made

    def __call__(self, batch: Sequence[Tensor]) -> Sequence[Tensor]:
        """Other images in the place of a batch's."""
        images = batch[0]
        return [self.make(images, self.draw(len(images), images.device)), *batch[1:]]

    @property
    def least_side(self) -> int:
        """Of images: a reflection is of pixels that are there."""
        return self._margin + 1 if self._mirrors else 1

    @property
    def _margin(self) -> int:
        return {"none": 0, "shift": 2, "crop": 4}[self.kind.split("-")[0]]

    @property
    def _mirrors(self) -> bool:
        return self.kind.startswith("crop-flip")

    @property
    def _fades(self) -> bool:
        return self.kind.endswith("-contrast")

    @property
    def _cuts(self) -> bool:
        return self.kind.endswith("-cutout")


def transform_of(described: DataModel) -> Augmentation | None:
    """Augmentation of an experiment's images, its corruptions behind it; None where there is neither."""
    if described.corruptions is None:
        return batch_transform(described.augment)
    return Augmentation(described.augment, described.corruptions, described.input_range)


def batch_transform(kind: str) -> Augmentation | None:
    """The augmentation of that name; None for ``none``."""
    return None if kind == "none" else Augmentation(kind)


def _cropped(images: Tensor, down: Tensor, right: Tensor, margin: int, mode: str) -> Tensor:
    """Each image at its own place of its padded version."""
    count, channels, height, width = images.shape
    device = images.device
    padded = functional.pad(images, (margin,) * 4, mode=mode)
    rows = (down[:, None] + torch.arange(height, device=device))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width, device=device))[:, None, None, :]
    sample = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return padded[sample, channel, rows, columns]


def _cut(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images with a square of a quarter of their shorter side, cut at the border, at their mean."""
    height, width = images.shape[2:]
    half = min(height, width) / CUT_PARTS / 2
    inside = [
        (torch.arange(size, device=images.device) + 0.5 - size * place[:, None]).abs() < half
        for size, place in ((height, down), (width, right))
    ]
    hole = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    return torch.where(hole, images.mean(dim=(1, 2, 3), keepdim=True), images)
