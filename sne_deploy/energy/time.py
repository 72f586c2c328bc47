"""From what cores and links do in a step to seconds.

The neurocores are through with a step when the slowest core, or link, is, and all have met at the barrier::

    t_step = max over cores of (updates t_update, SynOps t_synop, words t_word),
             over links of (messages t_hop)        + t_barrier

A maximum within a core too, not a sum: a core reads the synapses of arriving spikes while it updates its
neurons, and the model that was held against Loihi 2 itself is a maximum of affine terms, one for each unit
and link, and a lower bound (Timcheck, Pierro, Shrestha 2026, arXiv 2601.10035). Its rates are not published
as numbers; those of a chip's file are other sources', and none is fitted. A term without a rate is left out.

A sample of T steps in a network whose last layer runs D steps behind the input takes T + D steps from its
first to its last: its latency. Samples that follow each other without a pause overlap, so that one is done
every T steps: the throughput. Both times are without the host, which injects spikes and may reset the state
of all cores after a sample; these are lines of their own.

Not modelled: congestion, links between chips, spikes' way from the host, the head's arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sne_deploy.chips.chip import Chip
from sne_deploy.chips.constants import TimeConstant
from sne_deploy.mapping.placement import Site

WHOLE_CHIP_HOPS = 10
"""Hops across Loihi 1's 32 tiles, 8 by 4, from corner to corner."""


@dataclass(frozen=True)
class StepRates:
    """Seconds per operation of one core or link; None where the chip's file has no rate.

    Attributes
    ----------
    update_s : float
        Of an enabled compartment.
    synop_s : float
    word_s : float or None
        Of a word of synaptic memory.
    hop_east_west_s, hop_north_south_s : float or None
        Of a message on a link.
    """

    update_s: float
    synop_s: float
    word_s: float | None
    hop_east_west_s: float | None
    hop_north_south_s: float | None

    @classmethod
    def of(cls, chip: Chip) -> StepRates | None:
        """The rates of a chip; None where its file does not say how long updates and SynOps take."""
        time = chip.time
        if time.update_active is None or time.synop is None:
            return None
        return cls(
            time.update_active.si,
            time.synop.si,
            _si(time.memory_word),
            _si(time.hop_east_west),
            _si(time.hop_north_south),
        )


def step_floors(chip: Chip, sites: Iterable[Site]) -> dict[str, float]:
    """What a step takes beyond the slowest core or link, by source: seconds.

    ``"barrier"`` is the chip's own constant or, where its file has one for one tile and one for 32, in
    between, linear in the hops across the smallest box around the tiles in use: the source gives both ends
    alone, and the signal of a barrier goes from tile to neighbouring tile. Of several chips the largest box
    counts; how long they wait for each other is not published. ``"step_floor"`` is the least time of a step
    that was measured, whatever the source of the first. Empty where the chip's file has neither.

    Parameters
    ----------
    chip : Chip
    sites : iterable of Site
        Of the cores in use.
    """
    time, found = chip.time, {}
    if time.barrier is not None:
        found["barrier"] = time.barrier.si
    elif time.barrier_1_tile is not None and time.barrier_32_tiles is not None:
        least, most = time.barrier_1_tile.si, time.barrier_32_tiles.si
        found["barrier"] = least + (most - least) * min(_hops_across(sites) / WHOLE_CHIP_HOPS, 1.0)
    if time.step_floor is not None:
        found["step_floor"] = time.step_floor.si
    return found


@dataclass(frozen=True)
class SampleTime:
    """Seconds of a sample, line by line.

    Attributes
    ----------
    busy_s : float
        The slowest core or link of each step, summed.
    floors_s : mapping of str to float
        For each floor of :func:`step_floors`, that floor in all steps.
    host_s : float or None
        Spikes that the host injects at every step: 0 where it injects none, None where not modelled.
    reset_s : float or None
        The host's reset of all cores after a sample; None where not modelled.
    """

    busy_s: float
    floors_s: Mapping[str, float]
    host_s: float | None
    reset_s: float | None

    @property
    def neurocores_s(self) -> dict[str, float]:
        """Time on the neurocores with each floor."""
        return {name: self.busy_s + floor for name, floor in self.floors_s.items()}


def sample_time(
    chip: Chip, floors: Mapping[str, float], busy_s: float, steps: float, *, host_steps: float
) -> SampleTime:
    """Lines of a sample's time.

    Parameters
    ----------
    chip : Chip
    floors : mapping of str to float
        Of :func:`step_floors`.
    busy_s : float
    steps : float
        Machine steps of the sample; a mean may be a fraction.
    host_steps : float
        Steps in which the host sends messages.
    """
    per_step = _si(chip.time.host_per_step)
    host_s = 0.0 if host_steps == 0 else None if per_step is None else per_step * host_steps
    floors_s = {name: floor * steps for name, floor in floors.items()}
    return SampleTime(busy_s, floors_s, host_s, _si(chip.time.reset_per_sample))


def _hops_across(sites: Iterable[Site]) -> int:
    """From corner to corner of the smallest box around the tiles in use, on the chip where it is largest."""
    tiles: dict[int, list[Site]] = {}
    for site in sites:
        tiles.setdefault(site.chip, []).append(site)
    return max((_extent(each, "x") + _extent(each, "y") for each in tiles.values()), default=0)


def _extent(sites: list[Site], axis: str) -> int:
    places = [int(getattr(site, axis)) for site in sites]
    return max(places) - min(places)


def _si(constant: TimeConstant | None) -> float | None:
    return None if constant is None else constant.si
