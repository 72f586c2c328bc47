"""``[noise]``: corrupted images on which a trained model and its teacher are compared."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sne_deploy.distill.schema.base import LATER, Model, NotNegative, Part, Positive


class NoiseModel(Model):
    """Noise under which teacher and ensemble are compared; see :mod:`experiments.study.corruptions`.

    ``gaussian``: standard deviations; ``salt_and_pepper``: fractions of the pixels; ``occlusion``: sides of a
    square, relative to the image's; ``contrast``: factors, 1 changes nothing. ``samples``: of the test split,
    from the first; left out, all of them. ``draws``: how often the noise of each image is drawn, with the
    seeds from ``seed``.
    """

    gaussian: tuple[NotNegative, ...] = ()
    salt_and_pepper: tuple[Part, ...] = ()
    occlusion: tuple[Part, ...] = ()
    contrast: tuple[NotNegative, ...] = ()
    samples: Positive | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    draws: Annotated[int, Field(ge=1, le=100), LATER] = 1
