"""The ensemble on the chip against its teacher on another processor: who takes less, and from which rate on.

What is computed costs energy per inference, what is switched on costs power. At r inferences per second::

    whole chip           e(r) = neurocore + (x86 + static) / r        r at most the throughput
    whole processor      E(r) = macs e_mac + idle / r
    neurocores alone     e    = neurocore + host arithmetic
    arithmetic alone     E    = macs e_mac

The first two are compared, and the last two, and never one of the first with one of the last. The chip
takes less where e(r) < E(r), which changes at one rate at most::

    r = (x86 + static - idle) / (macs e_mac - neurocore)

Every figure is an interval, so every answer is threefold: yes or no holds for all of the interval, and
anything else cannot be told. Not modelled: how many boards a rate takes, batches, and that another network
of as many multiply-accumulates may take more or less than one that was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from sne_deploy.energy.figure import STRICT, ZERO, Figure, Number, exact
from sne_deploy.energy.processor import ARITHMETIC, Kind

Side = Literal["always", "never", "above", "below"]
"""At which rates the chip takes less: all, none, those above or below one at which it turns."""
Answer = Literal["yes", "no", "open"]


@dataclass(frozen=True)
class ChipFigures:
    """What the ensemble takes on the chip.

    Attributes
    ----------
    neurocore_j : Figure
        Joules of one inference on the neurocores.
    host_j : float
        Joules of one inference's arithmetic on the host; on the whole chip the x86 processors do this.
    x86_w, static_w : Figure or None
        Watts, at every rate; None where not known.
    throughput_per_s : Figure or None
        Inferences per second that the chip makes at most, with host and reset and, as its upper end, without;
        None where not known.
    """

    __pydantic_config__ = STRICT

    neurocore_j: Figure
    host_j: Number
    x86_w: Figure | None
    static_w: Figure | None
    throughput_per_s: Figure | None

    @property
    def power_w(self) -> Figure | None:
        """What is drawn at every rate; None where the whole chip is not known."""
        if self.x86_w is None or self.static_w is None or self.throughput_per_s is None:
            return None
        return self.x86_w + self.static_w


@dataclass(frozen=True)
class Turn:
    """At which rates the chip takes less; ``rate_per_s`` is None where it turns at none that it reaches."""

    __pydantic_config__ = STRICT

    side: Side
    rate_per_s: Number | None

    def cheaper(self, rate_per_s: float) -> bool:
        """Whether the chip takes less at a rate."""
        if self.rate_per_s is None:
            return self.side == "always"
        return rate_per_s > self.rate_per_s if self.side == "above" else rate_per_s < self.rate_per_s


@dataclass(frozen=True)
class Comparison:
    """One network on one processor against the ensemble on the chip, at one rate.

    Attributes
    ----------
    kind : Kind
    theirs_j, ours_j : Figure
        Joules of one inference at ``rate_per_s``, on the same line: the whole, or computing alone.
    turn : Turn
        By the figures as they are.
    best, worst : Turn
        With every interval in the chip's favour, and against it.
    """

    kind: Kind
    rate_per_s: float
    theirs_j: Figure
    ours_j: Figure
    turn: Turn
    best: Turn
    worst: Turn

    @property
    def ratio(self) -> Figure | None:
        """Theirs over ours: above 1 the chip takes less. None where ours may be 0."""
        theirs, ours = self.theirs_j, self.ours_j
        if not ours.low:
            return None
        return Figure(theirs.value / ours.value, theirs.low / ours.high, theirs.high / ours.low)

    @property
    def answer(self) -> Answer:
        """Whether the chip takes less at this rate."""
        if self.worst.cheaper(self.rate_per_s):
            return "yes"
        return "open" if self.best.cheaper(self.rate_per_s) else "no"


class Costed(Protocol):
    """What a processor takes: see :class:`sne_deploy.energy.processor.Processor`."""

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def per_mac_j(self) -> Figure: ...  # noqa: D102
    @property
    def idle_w(self) -> float: ...  # noqa: D102


def compare(
    macs: int, processor: Costed, chip: ChipFigures, rate_per_s: float, *, at_least: bool = False
) -> Comparison:
    """A network of so many multiply-accumulates on a processor against the ensemble on the chip.

    Arithmetic needs no rate, and no more of the chip than its operations; a whole processor the whole chip.
    Where there are ``at_least`` so many, the network may take any amount more, so that no is never told.
    """
    found = _compare(macs, processor, chip, rate_per_s)
    return replace(found, best=Turn("always", None)) if at_least else found


def _compare(macs: int, processor: Costed, chip: ChipFigures, rate_per_s: float) -> Comparison:
    theirs = processor.per_mac_j * macs
    if processor.kind == ARITHMETIC:
        ours = chip.neurocore_j + exact(chip.host_j)
        return _compared(processor, rate_per_s, theirs, ours, ZERO, math.inf)
    power, most = chip.power_w, chip.throughput_per_s
    if power is None or most is None:
        raise ValueError("the whole chip is not known")
    return _compared(processor, rate_per_s, theirs, chip.neurocore_j, power, most.high)


def _compared(
    processor: Costed, rate: float, theirs: Figure, ours: Figure, power_w: Figure, most: float
) -> Comparison:
    idle_w = processor.idle_w
    return Comparison(
        kind=processor.kind,
        rate_per_s=rate,
        theirs_j=theirs + exact(idle_w / rate),
        ours_j=ours + power_w * (1.0 / rate),
        turn=turn(ours.value - theirs.value, power_w.value - idle_w, most),
        best=turn(ours.low - theirs.high, power_w.low - idle_w, most),
        worst=turn(ours.high - theirs.low, power_w.high - idle_w, most),
    )


def turn(energy_j: float, power_w: float, most_per_s: float) -> Turn:
    """Where ``energy_j + power_w / r``, what the chip takes more, is negative for rates r up to the most."""
    slow = power_w < 0 or (power_w == 0 and energy_j < 0)
    fast = energy_j + power_w / most_per_s < 0
    if slow == fast:
        return Turn("always" if slow else "never", None)
    return Turn("above" if fast else "below", power_w / -energy_j)
