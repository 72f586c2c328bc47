"""``[data.corruptions]``: what spoils a part of the images that teacher and students learn from."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from sne_deploy.distill.schema.base import Model, NotNegative, Part

Family = Literal["gaussian", "salt_and_pepper", "occlusion", "contrast"]
FAMILIES: tuple[Family, ...] = get_args(Family)
Range = tuple[NotNegative, NotNegative]


class CorruptionsModel(Model):
    """Corruptions of augmented images, of the teacher's and the students' alike.

    An image is corrupted with probability ``share``: by one of the families given, each as likely, of a
    strength that is uniform in the family's range [low, high]. ``gaussian``: standard deviation of noise that
    is added to each value; ``salt_and_pepper``: part of the pixels that become the lowest or the highest
    value, in all channels; ``occlusion``: side of a square of the lowest value, relative to the image's
    shorter side; ``contrast``: factor of each value's distance from the image's mean. Values and noise are
    in units of ``data.input_range``, in which the result is clipped, as what quantises it on a device would.

    The students' samples as they are, before their ``copies``, are not augmented, and so not corrupted; of
    ``students.answers`` all are.
    Training on Gaussian noise helps against other corruptions too (Rusak et al. 2020, arXiv:2001.06057).
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    gaussian: Range | None = None
    salt_and_pepper: tuple[Part, Part] | None = None
    occlusion: tuple[Part, Part] | None = None
    contrast: Range | None = None

    @model_validator(mode="after")
    def _some_in_order(self) -> CorruptionsModel:
        if not self.ranges:
            raise ValueError(f"no family has a range: give one of {', '.join(FAMILIES)}, as [low, high]")
        for family, (low, high) in self.ranges.items():
            if low > high:
                raise ValueError(f"{family} [{low:g}, {high:g}] must be two numbers, low <= high")
        return self

    @property
    def ranges(self) -> dict[Family, tuple[float, float]]:
        """The families that are given, each with the range of its strength."""
        found = {family: getattr(self, family) for family in FAMILIES}
        return {family: given for family, given in found.items() if given is not None}
