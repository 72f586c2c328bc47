"""From integer counts to joules. Pure functions; the counts are exact, so the sums can be checked.

Energy of one sample, with n the counts and e the constants of the hardware file::

    E = synops e_synop + (updates_active e_update_active + updates_idle e_update_idle)
        + spikes e_spike_within_tile + host_macs e_host_mac

Not modelled yet, and therefore ``None`` and never 0: hops between cores, which need a placement, and
static energy (leakage, x86 cores), which needs the number of chips and the latency. Spikes that enter
from outside cost SynOps where they arrive; their injection by the x86 cores is not modelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

from sne_deploy.chips.chip import Chip
from sne_deploy.errors import VerificationError

PARTS = ("synops", "updates", "spikes", "hops", "host", "static")
"""The parts of an energy, in the order in which reports show them."""


@dataclass(frozen=True)
class Counts:
    """Exact totals over some samples.

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

    synops: int
    spikes: int
    input_spikes: int
    updates_active: int | None
    updates_idle: int | None
    host_macs: int
    samples_run: int

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if value is not None and value < 0:
                raise VerificationError(f"{part.name} is {value}: a count cannot be negative")
        if (self.updates_active is None) != (self.updates_idle is None):
            raise VerificationError("active and idle updates must both be counted, or neither")


@dataclass(frozen=True)
class Energy:
    """Joules per sample, in parts; None is not modelled.

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

    total: float | None
    total_excludes: tuple[str, ...]
    synops: float | None
    updates: float | None
    spikes: float | None
    hops: float | None
    host: float | None
    static: float | None
    interval: tuple[float, float] | None = None


def add_counts(counts: Iterable[Counts], samples_run: int) -> Counts:
    """Sum of totals; an update count that is None anywhere is None in the sum.

    Parameters
    ----------
    counts : iterable of Counts
        At least one.
    samples_run : int
        The samples that the sum is over: a student's may be some of the ensemble's.
    """

    def plus(a: Counts, b: Counts) -> Counts:
        return Counts(
            synops=a.synops + b.synops,
            spikes=a.spikes + b.spikes,
            input_spikes=a.input_spikes + b.input_spikes,
            updates_active=_add(a.updates_active, b.updates_active),
            updates_idle=_add(a.updates_idle, b.updates_idle),
            host_macs=a.host_macs + b.host_macs,
            samples_run=samples_run,
        )

    return replace(reduce(plus, counts), samples_run=samples_run)


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
    samples = counts.samples_run
    if samples == 0:
        return sum_parts(dict.fromkeys(PARTS))
    parts = joules(counts, hardware)
    return sum_parts({name: None if part is None else part / samples for name, part in parts.items()})


def joules(counts: Any, hardware: Chip) -> dict[str, Any]:
    """Energy of counts by part; None is not modelled. See the module for the equation.

    Parameters
    ----------
    counts : Counts, or Trace
        Its numbers are totals, or arrays of one for each sample; and so are the joules.
    hardware : Chip
    """
    per = hardware.energy
    updates = None
    if counts.updates_active is not None and counts.updates_idle is not None:
        updates = counts.updates_active * per.update_active.si + counts.updates_idle * per.update_idle.si
    return {
        "synops": counts.synops * per.synop.si,
        "updates": updates,
        "spikes": counts.spikes * per.spike_within_tile.si,
        "hops": None,
        "host": counts.host_macs * hardware.host.mac.si,
        "static": None,
    }


def mac_energy_j(macs: int, hardware: Chip) -> float:
    """Energy of the teacher's multiply-accumulates: the ``[teacher]`` table's, or else the host's."""
    table = hardware.host if hardware.teacher is None else hardware.teacher
    return macs * table.mac.si


def sum_parts(parts: dict[str, float | None]) -> Energy:
    """Energy from its parts: the total of those that are not None, and the names of the others."""
    known = [value for name in PARTS if (value := parts[name]) is not None]
    return Energy(
        total=sum(known) if known else None,
        total_excludes=tuple(name for name in PARTS if parts[name] is None),
        synops=parts["synops"],
        updates=parts["updates"],
        spikes=parts["spikes"],
        hops=parts["hops"],
        host=parts["host"],
        static=parts["static"],
    )


def _add(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
