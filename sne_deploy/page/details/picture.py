"""Samples as small pictures."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sne_deploy.model.parts import Encoder
from sne_deploy.report.chip_schema import Model

Array = npt.NDArray[Any]
Side = Annotated[int, Field(ge=1, le=256)]

MAX_PIXELS, MAX_SIDE = 2304, 96
"""Of a picture, after larger samples were averaged in blocks: 48 x 48, or longer and narrower."""
MIN_SIDE = 64
"""Pixels of smaller pictures are repeated up to this, so that a browser does not blur them."""
MAX_STRIP = 48
"""Values of a vector that are drawn in one row; more are wrapped into a square."""
MAX_TEXT = 12_000
"""Characters of a picture: its pixels, three bytes each, as base64, with room for the file's frame."""

Drawn = Literal["image", "summed", "series", "vector"]
"""``image``: the sample itself; ``summed``: over time; ``series``: time from left to right, a channel in each
row; ``vector``: one value after the other, in rows."""


class PictureModel(Model):
    """A PNG file in base64, and its size."""

    width: Side
    height: Side
    png: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=MAX_TEXT)]


def drawn_as(encoder: Encoder, shape: Sequence[int]) -> Drawn:
    """How samples of this shape at one step are drawn."""
    if encoder.timed:
        return "series" if len(shape) == 1 else "summed"
    return "vector" if len(shape) == 1 else "image"


def picture(encoder: Encoder, sample: Array) -> PictureModel:
    """Draw a sample: grey, or in colour where it has three channels, or two, which become red and blue.

    Other numbers of channels are averaged. Black is the lower end of the encoder's range and white the upper;
    of what has a time axis, the least and the most of the sample.

    Parameters
    ----------
    encoder : Encoder
    sample : array of shape input_shape, or (T, *input_shape) where the encoder is timed
    """
    values = np.asarray(sample, np.float64)
    how = drawn_as(encoder, values.shape[1:] if encoder.timed else values.shape)
    if how == "series":
        values = values.T
    elif how == "summed":
        values = values.sum(axis=0)
    elif how == "vector":
        values = _wrapped(values)
    low, high = (values.min(), values.max()) if encoder.timed else encoder.input_range
    values = np.clip((values - low) / (high - low if high > low else 1.0), 0.0, 1.0)
    planes = _shrunk(values.reshape(-1, *values.shape[-2:]))
    pixels = np.rint(255.0 * _enlarged(_coloured(planes))).astype(np.uint8)
    return PictureModel(
        width=pixels.shape[1], height=pixels.shape[0], png=base64.b64encode(png(pixels)).decode("ascii")
    )


def png(pixels: Array) -> bytes:
    """Encode a picture as PNG (ISO/IEC 15948), without filters.

    Parameters
    ----------
    pixels : uint8 array of shape (height, width) for grey, (height, width, 3) for red, green and blue
    """
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _wrapped(values: Array) -> Array:
    """A vector in rows; what is missing in the last one is 0."""
    columns = len(values) if len(values) <= MAX_STRIP else math.isqrt(len(values) - 1) + 1
    rows = -(-len(values) // columns)
    return np.pad(values, (0, rows * columns - len(values))).reshape(rows, columns)


def _shrunk(planes: Array) -> Array:
    """Blocks of each plane averaged until it is small enough."""
    for axis, block in enumerate(_block(*planes.shape[1:]), 1):
        size = planes.shape[axis]
        if block > 1:
            starts = np.arange(0, size, block)
            lengths = np.diff(starts, append=size).reshape([-1 if other == axis else 1 for other in range(3)])
            planes = np.add.reduceat(planes, starts, axis=axis) / lengths
    return planes


def _block(height: int, width: int) -> tuple[int, int]:
    """Rows and columns that become one pixel: as few as the bounds allow, alike where the sides allow it."""
    factor = math.ceil(math.sqrt(height * width / MAX_PIXELS))
    while True:
        down, right = (max(factor, -(-size // MAX_SIDE)) for size in (height, width))
        if -(-height // down) * -(-width // right) <= MAX_PIXELS:
            return down, right
        factor += 1


def _coloured(planes: Array) -> Array:
    """Planes of shape (C, H, W) as pixels of shape (H, W) or (H, W, 3)."""
    if len(planes) == 3:
        return np.moveaxis(planes, 0, -1)
    if len(planes) == 2:
        return np.stack([planes[0], np.zeros_like(planes[0]), planes[1]], axis=-1)
    return np.asarray(planes.mean(axis=0))


def _enlarged(pixels: Array) -> Array:
    """Pixels repeated; those of a strip more often downwards, so that it can be seen."""
    height, width = pixels.shape[:2]
    times = max(1, MIN_SIDE // max(height, width))
    return pixels.repeat(times * max(1, width // (4 * height)), axis=0).repeat(times, axis=1)
