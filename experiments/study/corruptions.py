r"""Noisy images, by family, from images (N, C, H, W) in [0, 1], a strength and a seed.

With :math:`g \sim N(0, 1)` per value, :math:`u \sim U[0, 1)` per pixel and m the mean of an image:

.. math::

   \text{gaussian}: & \quad x' = \mathrm{clip}(x + \sigma g, 0, 1) \\
   \text{salt and pepper}: & \quad x' = 0 \text{ if } u < f/2, \quad 1 \text{ if } f/2 \le u < f,
   \quad x \text{ else; in all channels} \\
   \text{occlusion}: & \quad x' = 0 \text{ in a square of side } \mathrm{round}(s \min(H, W)),
   \text{ in all channels, at a place drawn uniformly} \\
   \text{contrast}: & \quad x' = \mathrm{clip}(m + c (x - m), 0, 1); \text{ nothing is random}

The noise of an image is drawn from ``Philox(SeedSequence(seed, spawn_key=(family, strength, index)))``:
batches and the order in which images are made noisy change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.schema.corruptions import FAMILIES, Family
from sne_deploy.errors import DataError, InputError

Array = npt.NDArray[Any]
RANDOM: tuple[Family, ...] = ("gaussian", "salt_and_pepper", "occlusion")
"""Families of which each draw is another; contrast is not."""
Draw = Callable[[Array, float, np.random.Generator], Array]
"""From a float64 image, a strength and the image's random numbers."""


def _gaussian(image: Array, sigma: float, random: np.random.Generator) -> Array:
    return image + sigma * random.standard_normal(image.shape)


def _salt_and_pepper(image: Array, fraction: float, random: np.random.Generator) -> Array:
    drawn = random.random(image.shape[1:])
    return np.where(drawn < fraction / 2, 0.0, np.where(drawn < fraction, 1.0, image))


def _occlusion(image: Array, side: float, random: np.random.Generator) -> Array:
    height, width = image.shape[1:]
    pixels = round(side * min(height, width))
    row, column = (int(random.integers(size - pixels + 1)) for size in (height, width))
    image[:, row : row + pixels, column : column + pixels] = 0.0
    return image


def _contrast(image: Array, factor: float, _: np.random.Generator) -> Array:
    mean = image.mean()
    return image if factor == 1 else np.asarray(mean + factor * (image - mean))


_DRAW: Mapping[str, Draw] = {
    "gaussian": _gaussian,
    "salt_and_pepper": _salt_and_pepper,
    "occlusion": _occlusion,
    "contrast": _contrast,
}


def corrupt(images: Array, family: Family, strength: float, seed: int = 0, first_index: int = 0) -> Array:
    """Make images noisy.

    Parameters
    ----------
    images : float array of shape (N, C, H, W)
        In [0, 1].
    family : Family
    strength : float
        sigma, f, s or c of the family's equation; f and s in [0, 1], the others not negative.
    seed : int
        Not negative.
    first_index : int
        Index of ``images[0]`` in its data set.

    Returns
    -------
    float32 array of shape (N, C, H, W)
        In [0, 1].

    Raises
    ------
    DataError
        The images are not (N, C, H, W) in [0, 1].
    InputError
        The family is unknown, or the strength or the seed is out of range.
    """
    _check(images, family, strength, seed, first_index)
    bits = int(np.float64(abs(strength)).view(np.uint64))  # abs: -0.0 is 0.0
    key = (FAMILIES.index(family), bits >> 32, bits & 0xFFFFFFFF)
    result = np.empty(images.shape, dtype=np.float32)
    for index, image in enumerate(images):
        sequence = np.random.SeedSequence(seed, spawn_key=(*key, first_index + index))
        random = np.random.Generator(np.random.Philox(sequence))
        result[index] = np.clip(_DRAW[family](image.astype(np.float64), strength, random), 0.0, 1.0)
    return result


def _check(images: Array, family: Family, strength: float, seed: int, first_index: int) -> None:
    if family not in FAMILIES:
        raise InputError(f"noise {family!r} is unknown; known: {', '.join(FAMILIES)}")
    if images.ndim != 4 or images.dtype.kind != "f":
        raise DataError(
            f"noise: images are {images.dtype} of shape {images.shape}; give floats of shape (N, C, H, W)"
        )
    if images.size and not (images.min() >= 0.0 and images.max() <= 1.0):
        raise DataError(f"noise: values from {images.min():g} to {images.max():g} leave [0, 1]; scale them")
    highest = 1.0 if family in ("salt_and_pepper", "occlusion") else math.inf
    if not 0.0 <= strength <= highest or math.isinf(strength):
        limit = "0 or more, and finite" if math.isinf(highest) else "between 0 and 1"
        raise InputError(f"noise: strength {strength} of {family} must be {limit}")
    if seed < 0 or first_index < 0:
        raise InputError(f"noise: seed {seed} and first index {first_index} must not be negative")
