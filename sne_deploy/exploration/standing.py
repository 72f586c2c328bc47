"""What the chip takes whatever the policy: its embedded processors, the leakage of powered cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sne_deploy.chips.chip import Chip
from sne_deploy.energy.lines import cores_powered, static_power, x86_power
from sne_deploy.mapping.placement import Placement


@dataclass(frozen=True)
class Standing:
    """Lines of power beside the energy of the points; the same for every point with these weight bits.

    Students that a policy leaves out are still on the chip, since a cascade may ask them at any sample: all
    of the model's students are placed, one embedded processor of each chip in use is counted, and all cores
    of these chips leak.

    Attributes
    ----------
    cores, chips : int
        In use.
    x86_w, static_w : float or None
        None where the chip's file has no such constant.
    rate_per_s : float or None
        Inferences a second that were asked for.
    weight_bits : int or None
        With which the students are placed; None: the chip's.
    """

    cores: int
    chips: int
    x86_w: float | None
    static_w: float | None
    rate_per_s: float | None = None
    weight_bits: int | None = None

    @property
    def x86_j(self) -> float | None:
        """Of one inference at that rate."""
        return _per_inference(self.x86_w, self.rate_per_s)

    @property
    def static_j(self) -> float | None:
        """Of one inference at that rate."""
        return _per_inference(self.static_w, self.rate_per_s)


def _per_inference(watts: float | None, rate_per_s: float | None) -> float | None:
    return None if watts is None or rate_per_s is None else watts / rate_per_s


def most_power(several: Sequence[Standing]) -> Standing | None:
    """Of the numbers of weight bits that were tried, the lines on the most chips; None where there are none.

    All lines grow with the chips; of as many chips, the one with the most cores in use, then the first.
    """
    return max(several, key=lambda each: (each.chips, each.cores), default=None)


def standing(placement: Placement, chip: Chip) -> Standing:
    """The lines of a placement."""
    x86_w = static_w = None
    if chip.power.x86_per_processor is not None:
        x86_w = x86_power(placement.chips, chip)
    if chip.power.static_per_core is not None and chip.limits.cores_per_chip is not None:
        static_w = static_power(cores_powered(placement, chip), chip)
    return Standing(len(placement.cores), placement.chips, x86_w, static_w)
