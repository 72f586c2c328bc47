"""From integer counts to joules. Pure functions; the counts are exact, so the sums can be checked.

Energy of one sample, with n the counts and e the constants of the hardware file::

    E = synops e_synop + (updates_active e_update_active + updates_idle e_update_idle)
        + spikes e_spike_within_tile + host_macs e_host_mac

Not modelled yet, and therefore ``None`` and never 0: hops between cores, which need a placement, and
static energy (leakage, x86 cores), which needs the number of chips and the latency. Spikes that enter
from outside cost SynOps where they arrive; their injection by the x86 cores is not modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
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
Price = Callable[[str], float]
"""Joules of one operation, by the constant's name in a hardware file, such as ``energy.synop``."""

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
        Bounds of the total. None: the constants are pre-silicon, some stated as minima, one network on
        Loihi 1 is all there is to compare with, and the total leaves out hops and static energy, so no
        honest bound can be given. The error to expect stands in the hardware file as ``error.neurocore``.
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


class Valued(Protocol):
    """A constant, of a hardware file or of a report."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102


def prices(constants: Mapping[str, Valued]) -> Price:
    """What operations cost, by constants of energy; asking for one that is not there is an error."""

    def price(name: str) -> float:
        given = constants.get(name)
        if given is None or given.unit not in units.ENERGY:
            raise VerificationError(f"constant {name} is missing or no energy")
        return units.to_si(given.value, units.ENERGY[given.unit])

    return price


def energy_parts(counts: Counted, price: Price, samples: int = 1) -> dict[Part, Any]:
    """The equation of the module, part by part: joules of the counts over ``samples``."""
    active, idle, updates = counts.updates_active, counts.updates_idle, None
    if active is not None and idle is not None:
        updates = (active * price("energy.update_active") + idle * price("energy.update_idle")) / samples
    return {
        "synops": counts.synops * price("energy.synop") / samples,
        "updates": updates,
        "spikes": counts.spikes * price("energy.spike_within_tile") / samples,
        "hops": None,
        "host": counts.host_macs * price("host.mac") / samples,
        "static": None,
    }


def mean_energy(counts: Counts, price: Price) -> Energy:
    """Mean energy of a sample; every part is None where no sample was run."""
    samples = counts.samples_run
    parts: dict[Any, Any] = energy_parts(counts, price, samples) if samples else dict.fromkeys(PARTS)
    known = [value for value in parts.values() if value is not None]
    return Energy(
        total=sum(known) if known else None,
        total_excludes=tuple(name for name, value in parts.items() if value is None),
        **parts,
        interval=None,
    )


def energy_per_sample(counts: Counts, hardware: Chip) -> Energy:
    """Mean energy of a sample; see the module for the equation and for what it leaves out.

    Parameters
    ----------
    counts : Counts
        Totals over ``counts.samples_run`` samples.
    hardware : Chip

    Returns
    -------
    Energy
        In joules. Every part is None where no sample was run.
    """
    return mean_energy(counts, prices(hardware.constants("energy", "host")))


def energy_of_samples(counts: Counted, hardware: Chip) -> npt.NDArray[np.float64]:
    """Joules of each of N samples, as far as modelled, from their counts: (N,)."""
    parts = energy_parts(counts, prices(hardware.constants("energy", "host"))).values()
    return np.asarray(sum(part for part in parts if part is not None), np.float64)


def mac_energy_j(macs: int, hardware: Chip) -> float:
    """Energy of the teacher's multiply-accumulates: the ``[teacher]`` table's, or else the host's."""
    table = hardware.host if hardware.teacher is None else hardware.teacher
    return macs * table.mac.si
