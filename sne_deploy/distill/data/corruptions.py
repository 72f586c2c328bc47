"""Corrupted images, each a function of the image and one number alone: its seed.

The same image with the same seed is corrupted alike in any batch, in any order and on any device (there up
to the rounding of a logarithm and a cosine), so that whoever keeps the seed need not keep the image.

Random numbers are hashes of the seed and of a place: rounds of shift, xor and multiplication whose constants
Wellons and others searched for even avalanche (https://github.com/skeeto/hash-prospector, README, "Two round
functions", a row of bias 0.175 with both below 2^31: then no product of 64-bit integers overflows).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sne_deploy.distill.schema.corruptions import CorruptionsModel, Family

SEEDS = 2**32
"""A seed is an integer from 0 to below this one."""
_FIRST, _SECOND = 0x603A32A7, 0x5A522677
_GOLDEN = 0x1E3779B1
"""Odd, below 2^31: the low bits of 2^32 over the golden ratio. Places times it are far from each other."""
_CHOICE, _STRENGTH, _ROW, _COLUMN, _NOISE = range(1, 6)
"""Streams of random numbers of one seed."""
_BITS = 24
"""Of a float32's fraction."""
Corrupt = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From images in [0, 1], the strength of each, of shape (N, 1, 1, 1), and their seeds, on the same device."""


def corrupted(
    images: Tensor,
    seeds: Tensor,
    described: CorruptionsModel,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """Corrupt images as described: each by what its seed says, or not at all.

    Parameters
    ----------
    images : float Tensor of shape (N, C, H, W)
    seeds : int64 Tensor of shape (N,)
        From 0 to below 2^32, on the images' device.
    described : CorruptionsModel
    bounds : pair of float
        The lowest and the highest value of an image; results are within.

    Returns
    -------
    float Tensor of shape (N, C, H, W)
        Images that are not corrupted are equal to the given ones.
    """
    low, high = bounds
    ranges = described.ranges
    drawn = uniform(seeds, _CHOICE, 1)[:, 0].double() / described.share
    result = images.clone()
    for index, (family, (weakest, strongest)) in enumerate(ranges.items()):
        chosen = (drawn * len(ranges)).floor() == index
        rows = _worked_on(chosen)
        own, scaled = seeds[rows], (images[rows] - low) / (high - low)
        strength = weakest + (strongest - weakest) * uniform(own, _STRENGTH, 1)[:, :, None, None]
        made = low + (high - low) * _FAMILIES[family](scaled, strength.to(images.dtype), own).clamp(0.0, 1.0)
        result[rows] = torch.where(chosen[rows][:, None, None, None], made, result[rows])
    return result


def _worked_on(chosen: Tensor) -> Tensor:
    """Rows that are computed: the chosen ones; all where the processor would wait for their number."""
    if chosen.device.type == "cpu":
        return chosen.nonzero()[:, 0]
    return torch.arange(len(chosen), device=chosen.device)


def uniform(seeds: Tensor, stream: int, count: int) -> Tensor:
    """For each seed ``count`` numbers, float32, uniform in [0, 1) and independent of other streams'."""
    places = torch.arange(count, device=seeds.device)
    keys = _mixed(_mixed(seeds) + stream * _GOLDEN)
    hashed = _mixed(keys[:, None] + places * _GOLDEN)
    return (hashed >> (32 - _BITS)).float() * 2.0**-_BITS


def normal(seeds: Tensor, stream: int, count: int) -> Tensor:
    """For each seed ``count`` numbers of a standard normal distribution, by Box and Muller (1958)."""
    half = (count + 1) // 2
    drawn = uniform(seeds, stream, 2 * half)
    radius = (-2.0 * torch.log1p(-drawn[:, :half])).sqrt()
    angle = 2.0 * math.pi * drawn[:, half:]
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]


def _mixed(values: Tensor) -> Tensor:
    """A permutation of the integers below 2^32, of which only the lowest 32 bits are looked at."""
    values = values & 0xFFFFFFFF
    values = ((values ^ (values >> 16)) * _FIRST) & 0xFFFFFFFF
    values = ((values ^ (values >> 15)) * _SECOND) & 0xFFFFFFFF
    return values ^ (values >> 15)


def _gaussian(images: Tensor, sigma: Tensor, seeds: Tensor) -> Tensor:
    noise = normal(seeds, _NOISE, images[0].numel() if len(images) else 0)
    return images + sigma * noise.view(images.shape).to(images.dtype)


def _salt_and_pepper(images: Tensor, part: Tensor, seeds: Tensor) -> Tensor:
    count, _, height, width = images.shape
    drawn = uniform(seeds, _NOISE, height * width).view(count, 1, height, width)
    return torch.where(drawn < part, (drawn >= part / 2).to(images.dtype), images)


def _occlusion(images: Tensor, side: Tensor, seeds: Tensor) -> Tensor:
    count, _, height, width = images.shape
    pixels = (side * min(height, width)).round().view(count, 1)
    inside = []
    for stream, size in ((_ROW, height), (_COLUMN, width)):
        first = (uniform(seeds, stream, 1) * (size - pixels + 1)).floor()
        places = torch.arange(size, device=images.device)
        inside.append((places >= first) & (places < first + pixels))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0.0)


def _contrast(images: Tensor, factor: Tensor, _: Tensor) -> Tensor:
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + factor * (images - mean)


_FAMILIES: Mapping[Family, Corrupt] = {
    "gaussian": _gaussian,
    "salt_and_pepper": _salt_and_pepper,
    "occlusion": _occlusion,
    "contrast": _contrast,
}
