"""More training images from few, by small random affine maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """Limits of a random affine map; each value is drawn uniformly from -limit to +limit.

    Attributes
    ----------
    rotation_rad : float
    scale : float
        Relative: 0.1 is 90 to 110 %.
    shift : float
        Relative to the image's size.
    """

    rotation_rad: float = 0.15
    scale: float = 0.1
    shift: float = 0.06


def augmented(images: Tensor, copies: int, limits: Affine, seed: int) -> Tensor:
    """Return the images, followed by ``copies`` randomly mapped versions of all of them.

    Bilinear, zero outside the border; values stay within the range of the images and 0.

    Parameters
    ----------
    images : float32 tensor of shape (N, C, H, W)
    copies : int
        0 or more.
    limits : Affine
    seed : int

    Returns
    -------
    float32 tensor of shape ((copies + 1) N, C, H, W)
        Copy k of image n at index k N + n.

    Raises
    ------
    InputError
        ``copies`` is negative, or the images do not have four dimensions.
    """
    import torch
    from torch.nn import functional

    if copies < 0 or images.ndim != 4:
        raise InputError(f"augment: {copies} copies of shape {tuple(images.shape)}; give >= 0, (N, C, H, W)")
    if copies == 0:
        return images
    repeated = images.repeat(copies, 1, 1, 1)
    with deterministic(seed):
        draws = torch.rand(4, len(repeated)) * 2.0 - 1.0
    angle, size = draws[0] * limits.rotation_rad, 1.0 + draws[1] * limits.scale
    cos, sin = size * angle.cos(), size * angle.sin()
    rows = torch.stack([cos, -sin, 2 * limits.shift * draws[2], sin, cos, 2 * limits.shift * draws[3]], dim=1)
    grid = functional.affine_grid(rows.view(-1, 2, 3), list(repeated.shape), align_corners=False)
    mapped = functional.grid_sample(repeated, grid, align_corners=False)
    return torch.cat([images, mapped])
