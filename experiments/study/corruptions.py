"""Noisy images.

Each family is a pure function of images (N, C, H, W) in [0, 1], a strength and a seed. The noise of an image
is drawn from ``Philox(SeedSequence(seed, spawn_key=(family, strength, index)))``: batches and the order in
which images are made noisy change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import DataError, InputError

Array = npt.NDArray[Any]
Family = Literal["gaussian", "salt_and_pepper", "occlusion", "contrast"]
FAMILIES: tuple[Family, ...] = get_args(Family)


def gaussian(images: Array, sigma: float, seed: int, first_index: int = 0) -> Array:
    r"""Add independent Gaussian noise to every value.

    .. math:: x' = \mathrm{clip}(x + \sigma g, 0, 1), \quad g \sim N(0, 1)

    Parameters
    ----------
    images : float32 array of shape (N, C, H, W)
        In [0, 1].
    sigma : float
        Not negative; 0 changes nothing.
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
        The strength or the seed is out of range.
    """

    def noisy(image: Array, random: np.random.Generator) -> Array:
        return image + sigma * random.standard_normal(image.shape)

    return _each(images, "gaussian", sigma, seed, first_index, noisy)


def salt_and_pepper(images: Array, fraction: float, seed: int, first_index: int = 0) -> Array:
    r"""Set pixels to black or white, half of them each, in all channels.

    .. math:: x' = 0 \text{ if } u < f/2, \quad 1 \text{ if } f/2 \le u < f, \quad x \text{ else};
              \quad u \sim U[0, 1) \text{ per pixel}

    Parameters
    ----------
    images : float32 array of shape (N, C, H, W)
    fraction : float
        Probability of a pixel to be set, in [0, 1]; 0 changes nothing.
    seed, first_index : int
        As for :func:`gaussian`.
    """

    def noisy(image: Array, random: np.random.Generator) -> Array:
        drawn = random.random(image.shape[1:])
        return np.where(drawn < fraction / 2, 0.0, np.where(drawn < fraction, 1.0, image))

    return _each(images, "salt_and_pepper", fraction, seed, first_index, noisy)


def occlusion(images: Array, side: float, seed: int, first_index: int = 0) -> Array:
    r"""Set a square to 0, in all channels, at a place drawn uniformly from those wholly inside the image.

    .. math:: s = \mathrm{round}(\mathrm{side} \cdot \min(H, W)); \quad
              x'_{ij} = 0 \text{ for } i_0 \le i < i_0 + s,\ j_0 \le j < j_0 + s

    Parameters
    ----------
    images : float32 array of shape (N, C, H, W)
    side : float
        Side of the square as a fraction of the image's shorter one, in [0, 1]; 0 changes nothing.
    seed, first_index : int
        As for :func:`gaussian`.
    """

    def noisy(image: Array, random: np.random.Generator) -> Array:
        height, width = image.shape[1:]
        pixels = round(side * min(height, width))
        row = int(random.integers(height - pixels + 1))
        column = int(random.integers(width - pixels + 1))
        result = image.copy()
        result[:, row : row + pixels, column : column + pixels] = 0.0
        return result

    return _each(images, "occlusion", side, seed, first_index, noisy)


def contrast(images: Array, factor: float, seed: int = 0, first_index: int = 0) -> Array:
    r"""Draw every value towards the image's mean, or away from it; nothing is random.

    .. math:: x' = \mathrm{clip}(m + c (x - m), 0, 1), \quad m \text{ the mean of the image}

    Parameters
    ----------
    images : float32 array of shape (N, C, H, W)
    factor : float
        Not negative; 1 changes nothing.
    seed, first_index : int
        As for :func:`gaussian`; they change nothing.
    """

    def noisy(image: Array, random: np.random.Generator) -> Array:  # noqa: ARG001  one form for all
        if factor == 1:
            return image
        mean = image.mean()
        return np.asarray(mean + factor * (image - mean))

    return _each(images, "contrast", factor, seed, first_index, noisy)


_CORRUPT: dict[str, Callable[[Array, float, int, int], Array]] = {
    "gaussian": gaussian,
    "salt_and_pepper": salt_and_pepper,
    "occlusion": occlusion,
    "contrast": contrast,
}


def corrupt(images: Array, family: Family, strength: float, seed: int, first_index: int = 0) -> Array:
    """Make images noisy by the name of the family; see its function.

    Raises
    ------
    InputError
        The family is unknown; or as :func:`gaussian`.
    """
    if family not in _CORRUPT:
        raise InputError(f"noise {family!r} is unknown; known: {', '.join(FAMILIES)}")
    return _CORRUPT[family](images, strength, seed, first_index)


def _each(
    images: Array,
    family: Family,
    strength: float,
    seed: int,
    first_index: int,
    noisy: Callable[[Array, np.random.Generator], Array],
) -> Array:
    """Apply one family image by image, in float64, and clip."""
    _check(images, family, strength, seed, first_index)
    bits = int(np.float64(abs(strength)).view(np.uint64))  # abs: -0.0 is 0.0
    key = (FAMILIES.index(family), bits >> 32, bits & 0xFFFFFFFF)
    result = np.empty(images.shape, dtype=np.float32)
    for index, image in enumerate(images):
        sequence = np.random.SeedSequence(seed, spawn_key=(*key, first_index + index))
        random = np.random.Generator(np.random.Philox(sequence))
        result[index] = np.clip(noisy(image.astype(np.float64), random), 0.0, 1.0)
    return result


def _check(images: Array, family: Family, strength: float, seed: int, first_index: int) -> None:
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
