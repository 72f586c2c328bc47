"""The three lines of a chip's power, which are never one sum.

``neurocore`` is what computing costs, and follows from counts; ``x86`` the embedded processors that are in
use; ``static`` the leakage of every core that is powered, in use or not. They are measured apart on silicon,
and on small networks the last two are far more than the first.

Each line has an interval of its own, ``[interval]`` of the hardware file: the factors between which silicon
lies, taken from cases that gave no constant of the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field

from sne_deploy.chips.chip import Chip
from sne_deploy.chips.constants import Constant
from sne_deploy.energy.accounting import Factors, Traffic, energy_parts, prices_of
from sne_deploy.errors import HardwareError, InputError
from sne_deploy.mapping.placement import Placement

Line = Literal["neurocore", "x86", "static"]
LINES: tuple[Line, ...] = get_args(Line)
Powered = Literal["chips", "used"]
"""Which cores leak: all those of the chips that are in use, or only those that hold a neuron."""
POWERED: tuple[Powered, ...] = get_args(Powered)
_Figure = Annotated[float, Field(ge=0.0)]


@dataclass(frozen=True)
class Operation:
    """How the chip is operated; nothing that a network decides.

    Attributes
    ----------
    rate_per_s : float or None
        Inferences a second; None: one after the other, without a pause.
    x86_processors : int or None
        Embedded processors in use; None: one for each chip that is in use.
    powered : {"chips", "used"}
        Which cores leak. Those of students that are not asked do, since their registers must be kept.
    """

    rate_per_s: float | None = None
    x86_processors: int | None = None
    powered: Powered = "chips"


@dataclass(frozen=True)
class LineFigures:
    """One line: of one inference and as power at the rate of inferences, each with its interval.

    None where the rate, or the factors of the interval, are not known.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    energy_j: _Figure | None
    energy_interval_j: tuple[_Figure, _Figure] | None
    power_w: _Figure | None
    power_interval_w: tuple[_Figure, _Figure] | None


def figures(energy_j: float | None, power_w: float | None, factors: Factors | None) -> LineFigures:
    """A line's figures, with the intervals that the factors give."""
    return LineFigures(energy_j, _between(energy_j, factors), power_w, _between(power_w, factors))


def _between(value: float | None, factors: Factors | None) -> tuple[float, float] | None:
    return None if value is None or factors is None else (factors[0] * value, factors[1] * value)


def neurocore_energy(
    chip: Chip,
    *,
    synops: Any,
    updates: Any,
    messages: Any = 0,
    hops_east_west: Any = 0,
    hops_north_south: Any = 0,
) -> Any:
    """Joules that the neurocores spend on counts.

    ::

        E = synops e_synop + updates e_update_active + messages e_spike_within_tile
            + hops_east_west e_hop_east_west + hops_north_south e_hop_north_south

    Parameters
    ----------
    chip : Chip
    synops : number or array
        Spikes that arrived at non-zero synapses.
    updates : number or array
        One for each enabled compartment and step, whether it had input or not: probes show the price of an
        active neuron for all of them.
    messages : number or array
        One for each spike and core that it reaches.
    hops_east_west, hops_north_south : number or array
        Links that the messages cross.

    Returns
    -------
    float or array
    """
    if any(not isinstance(hops, int) or hops for hops in (hops_east_west, hops_north_south)):
        for name in ("hop_east_west", "hop_north_south"):
            _given(chip, f"energy.{name}", getattr(chip.energy, name))
    traffic = Traffic(messages, 0, 0, 0, 0, hops_east_west, hops_north_south, 0)
    parts = energy_parts(_Counted(synops, updates), prices_of(chip), traffic=traffic)
    return sum(part for part in parts.values() if part is not None)


@dataclass(frozen=True)
class _Counted:
    """Numbers or arrays, of neurocores alone."""

    synops: Any
    updates_active: Any
    updates_idle: int = 0
    spikes: int = 0
    host_macs: int = 0


def x86_power(processors: int, chip: Chip) -> float:
    """Watts of embedded processors that are in use, their clock and their code."""
    return processors * _given(chip, "power.x86_per_processor", chip.power.x86_per_processor).si


def processors(operation: Operation, placement: Placement, chip: Chip) -> int:
    """How many embedded processors are in use: as many as asked, else one for each chip.

    Raises
    ------
    InputError
        More than the chips in use have.
    """
    asked, limit = operation.x86_processors, chip.limits.embedded_processors_per_chip
    if asked is None:
        return placement.chips
    if limit is not None and asked > limit.value * placement.chips:
        chips = f"{placement.chips:,} chip{' is' if placement.chips == 1 else 's are'}"
        raise InputError(
            f"--x86 {asked}: {chips} in use, with {limit.value} embedded processors each "
            f"(limits.embedded_processors_per_chip of hardware {chip.name!r}); "
            f"give {limit.value * placement.chips} or less"
        )
    return asked


def static_power(cores_powered: int, chip: Chip) -> float:
    """Watts that powered cores leak, whether they are in use or not."""
    return cores_powered * _given(chip, "power.static_per_core", chip.power.static_per_core).si


def cores_powered(placement: Placement, chip: Chip, powered: Powered = "chips") -> int:
    """How many cores leak: those of every chip in use, or only those that hold a neuron of any student.

    A student that is not asked keeps its cores powered: its neurons must keep their registers.
    """
    if powered == "used":
        return len(placement.cores)
    limit = chip.limits.cores_per_chip
    if limit is None:
        raise HardwareError(
            f"hardware {chip.name!r} gives no limits.cores_per_chip; add it under [limits], as in "
            "loihi1.toml, or count only the cores in use (--powered used)"
        )
    return placement.chips * limit.value


def interval(line: Line, chip: Chip) -> Factors | None:
    """Factors of a prediction between which silicon is expected; None where the file says nothing."""
    found = getattr(chip.interval, line)
    return None if found is None else (found.low, found.high)


def _given(chip: Chip, name: str, constant: Constant | None) -> Constant:
    if constant is None:
        table = name.split(".", maxsplit=1)[0]
        raise HardwareError(
            f"hardware {chip.name!r} gives no {name}; add it under [{table}], as in loihi1.toml"
        )
    return constant
