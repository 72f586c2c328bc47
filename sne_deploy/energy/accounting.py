"""From integer counts to joules. Pure functions; the counts are exact, so the sums can be checked.

Energy of one sample, with n the counts and e the constants of the hardware file::

    E = synops e_synop + (updates_active + updates_idle) e_update_active + spikes e_spike_within_tile
        + hops_east_west e_hop_east_west + hops_north_south e_hop_north_south + host_macs e_host_mac

Every enabled compartment costs an active update at every step, whether it had input or not: probes of
networks with hardly any spikes show that price for all of them. ``energy.update_idle`` is for compartments
that are switched off, of which a network has none.

``spikes`` in the equation are messages, one for each spike and each core that it reaches. Without a
placement (floating point, or a network that does not fit) they are the spikes that neurons sent, and hops
are ``None``, as they are without a price.

The sum is of the neurocores' dynamic energy and the host's arithmetic. Embedded processors and leakage are
lines of their own (:mod:`sne_deploy.energy.lines`), so ``static`` is always ``None`` here. Spikes that enter
from outside cost SynOps where they arrive, and the host's arithmetic is that of its MACs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from sne_deploy.chips import units
from sne_deploy.chips.chip import Chip
from sne_deploy.errors import VerificationError

Part = Literal["synops", "updates", "spikes", "hops", "host", "static"]
PARTS: tuple[Part, ...] = get_args(Part)
"""The parts of an energy, in the order in which reports show them."""
Factors = tuple[float, float]
"""Of a prediction, between which silicon is expected."""

_Count = Annotated[int, Field(ge=0)]
_Joules = Annotated[float, Field(ge=0.0)]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Counts:
    """Exact totals over some samples, which a report holds as they are.

    Attributes
    ----------
    synops : int
        Spikes that arrived at existing (non-zero) synapses.
    spikes : int
        Spikes that neurons sent.
    input_spikes : int
        Spikes that entered from outside.
    updates_active, updates_idle : int or None
        Neuron updates with input or non-zero state, and the others; None where registers are not modelled.
    host_macs : int
        Multiply-accumulates on the host.
    samples_run : int
        The samples that the totals are over.
    """

    __pydantic_config__ = _STRICT

    synops: _Count
    spikes: _Count
    input_spikes: _Count
    updates_active: _Count | None
    updates_idle: _Count | None
    host_macs: _Count
    samples_run: _Count

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and value < 0:
                raise VerificationError(f"{name} is {value}: a count cannot be negative")
        if (self.updates_active is None) != (self.updates_idle is None):
            raise VerificationError("active and idle updates must both be counted, or neither")


COUNTED = tuple(field.name for field in fields(Counts) if field.name != "samples_run")
"""What is counted."""


class Counted(Protocol):
    """Totals, or arrays of shape (N,) with the counts of N samples, as :class:`Counts` says."""

    @property
    def synops(self) -> Any: ...  # noqa: D102
    @property
    def spikes(self) -> Any: ...  # noqa: D102
    @property
    def updates_active(self) -> Any: ...  # noqa: D102
    @property
    def updates_idle(self) -> Any: ...  # noqa: D102
    @property
    def host_macs(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Traffic:
    """Exact totals of what a placement adds to :class:`Counts`, over the same samples.

    Attributes
    ----------
    within_core, within_tile, within_chip, across_chips : int
        Messages that neurons sent, one for each spike and core that it reaches, by how far they go.
    from_host : int
        Messages that enter from outside.
    hops_east_west, hops_north_south : int
        Links that messages cross.
    memory_words : int
        Words of synaptic memory read.
    """

    __pydantic_config__ = _STRICT

    within_core: _Count
    within_tile: _Count
    within_chip: _Count
    across_chips: _Count
    from_host: _Count
    hops_east_west: _Count
    hops_north_south: _Count
    memory_words: _Count

    @property
    def messages(self) -> int:
        """Those that neurons sent."""
        return self.within_core + self.within_tile + self.within_chip + self.across_chips


MOVED = tuple(field.name for field in fields(Traffic))
"""What a placement counts."""


@dataclass(frozen=True)
class Energy:
    """Joules per sample, in parts, which a report holds as they are; None is not modelled.

    Attributes
    ----------
    total : float or None
        Sum of the parts that are not None, in the order of :data:`PARTS`; None where there are none.
    total_excludes : tuple of str
        The parts that are None.
    synops, updates, spikes, hops, host, static : float or None
    interval : (float, float) or None
        Bounds of the neurocores' part (synops, updates, spikes and hops): its sum times the factors of
        ``interval.neurocore`` of the hardware file. None without these, or without updates.
    """

    __pydantic_config__ = _STRICT

    total: _Joules | None
    total_excludes: tuple[Part, ...]
    synops: _Joules | None
    updates: _Joules | None
    spikes: _Joules | None
    hops: _Joules | None
    host: _Joules | None
    static: _Joules | None
    interval: tuple[_Joules, _Joules] | None


def add_counts(counts: Iterable[Counts], samples_run: int) -> Counts:
    """Sum of totals; an update count that is None anywhere is None in the sum.

    Parameters
    ----------
    counts : iterable of Counts
        At least one.
    samples_run : int
        The samples that the sum is over: a student's may be some of the ensemble's.
    """
    several = list(counts)
    columns = {name: [getattr(each, name) for each in several] for name in COUNTED}
    sums: dict[str, Any] = {name: None if None in column else sum(column) for name, column in columns.items()}
    return Counts(**sums, samples_run=samples_run)


def add_traffic(several: Iterable[Traffic]) -> Traffic:
    """Sum of totals."""
    found = list(several)
    return Traffic(**{name: sum(getattr(each, name) for each in found) for name in MOVED})


class Valued(Protocol):
    """A constant, of a hardware file or of a report."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Prices:
    """What operations cost: joules, by the constants' names in a hardware file, such as ``energy.synop``."""

    constants: Mapping[str, Valued]

    def __contains__(self, name: str) -> bool:
        return name in self.constants

    def __call__(self, name: str) -> float:
        """Price of one operation; asking for one that is not there is an error."""
        given = self.constants.get(name)
        if given is None or given.unit not in units.ENERGY:
            raise VerificationError(f"constant {name} is missing or no energy")
        return units.to_si(given.value, units.ENERGY[given.unit])


def prices_of(hardware: Chip) -> Prices:
    """What a chip's operations and its host's cost."""
    return Prices(hardware.constants("energy", "host"))


def energy_parts(
    counts: Counted,
    price: Prices,
    samples: int = 1,
    traffic: Traffic | None = None,
    idle: str = "energy.update_active",
) -> dict[Part, Any]:
    """The equation of the module, part by part: joules of the counts over ``samples``.

    ``idle`` names the price of an update without input: reports of schema 1 had another.
    """
    updates = None
    if counts.updates_active is not None and counts.updates_idle is not None:
        updates = counts.updates_active * price("energy.update_active") + counts.updates_idle * price(idle)
    sent = counts.spikes if traffic is None else traffic.messages
    hops = None
    if traffic is not None and "energy.hop_east_west" in price and "energy.hop_north_south" in price:
        hops = traffic.hops_east_west * price("energy.hop_east_west")
        hops += traffic.hops_north_south * price("energy.hop_north_south")
    return {
        "synops": counts.synops * price("energy.synop") / samples,
        "updates": None if updates is None else updates / samples,
        "spikes": sent * price("energy.spike_within_tile") / samples,
        "hops": None if hops is None else hops / samples,
        "host": counts.host_macs * price("host.mac") / samples,
        "static": None,
    }


def neurocore_j(energy: Energy) -> float | None:
    """The neurocores' dynamic part of an energy; None without updates."""
    if energy.updates is None or energy.synops is None or energy.spikes is None:
        return None
    return energy.synops + energy.updates + energy.spikes + (energy.hops or 0.0)


def mean_energy(
    counts: Counts,
    price: Prices,
    traffic: Traffic | None = None,
    factors: Factors | None = None,
    idle: str = "energy.update_active",
) -> Energy:
    """Mean energy of a sample; every part is None where no sample was run."""
    samples = counts.samples_run
    parts: dict[Any, Any] = (
        energy_parts(counts, price, samples, traffic, idle) if samples else dict.fromkeys(PARTS)
    )
    known = [value for value in parts.values() if value is not None]
    energy = Energy(
        total=sum(known) if known else None,
        total_excludes=tuple(name for name, value in parts.items() if value is None),
        **parts,
        interval=None,
    )
    neurocores = neurocore_j(energy)
    if factors is None or neurocores is None:
        return energy
    return replace(energy, interval=(factors[0] * neurocores, factors[1] * neurocores))


def energy_per_sample(counts: Counts, hardware: Chip, traffic: Traffic | None = None) -> Energy:
    """Mean energy of a sample; see the module for the equation and for what it leaves out.

    Parameters
    ----------
    counts : Counts
        Totals over ``counts.samples_run`` samples.
    hardware : Chip
    traffic : Traffic or None
        Of the same samples; None without a placement.

    Returns
    -------
    Energy
        In joules. Every part is None where no sample was run.
    """
    bounds = hardware.interval.neurocore
    factors = None if bounds is None else (bounds.low, bounds.high)
    return mean_energy(counts, prices_of(hardware), traffic, factors)


def energy_of_samples(counts: Counted, hardware: Chip) -> npt.NDArray[np.float64]:
    """Joules of each of N samples, as far as modelled, from their counts: (N,)."""
    parts = energy_parts(counts, prices_of(hardware)).values()
    return np.asarray(sum(part for part in parts if part is not None), np.float64)


def mac_energy_j(macs: int, hardware: Chip) -> float:
    """Energy of the teacher's multiply-accumulates: the ``[teacher]`` table's, or else the host's."""
    table = hardware.host if hardware.teacher is None else hardware.teacher
    return macs * table.mac.si
