"""The tables of a hardware file: which constants there are, their units and their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from sne_deploy.chips import units

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
_TEXT_MAX = 2000
Text = Annotated[str, Field(min_length=1, max_length=_TEXT_MAX, pattern=r"\S")]


class Constant(BaseModel):
    """One number with its unit and where it comes from.

    Attributes
    ----------
    value : float
    unit : str
    source : str
    note : str or None
    """

    model_config = _STRICT

    value: float
    unit: str
    source: Text
    note: Text | None = None


class _Quantity(Constant):
    """A constant of one physical quantity; ``si`` is its value in the SI unit."""

    _units: ClassVar[Mapping[str, int]]
    _si_unit: ClassVar[str]
    _limit: ClassVar[float]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.unit not in self._units:
            raise ValueError(f"unit {self.unit!r} is not one of {', '.join(self._units)}")
        if not 0.0 <= self.si <= self._limit:
            raise ValueError(
                f"value {self.value!r} {self.unit} is not in [0, {self._limit:g} {self._si_unit}]"
            )
        return self

    @property
    def si(self) -> float:
        """Value in J, s, W or 1: the double nearest to the decimal number in the file."""
        return units.to_si(self.value, self._units[self.unit])


class EnergyConstant(_Quantity):
    """Energy of one operation; at most :data:`units.ENERGY_MAX_J`."""

    _units, _si_unit, _limit = units.ENERGY, "J", units.ENERGY_MAX_J


class TimeConstant(_Quantity):
    """Time of one operation; at most :data:`units.TIME_MAX_S`."""

    _units, _si_unit, _limit = units.TIME, "s", units.TIME_MAX_S


class PowerConstant(_Quantity):
    """Power; at most :data:`units.POWER_MAX_W`."""

    _units, _si_unit, _limit = units.POWER, "W", units.POWER_MAX_W


class RatioConstant(_Quantity):
    """A plain ratio, such as a relative error."""

    _units, _si_unit, _limit = units.RATIO, "", units.RATIO_MAX


class _Counted(BaseModel):
    """Whole numbers of something, with their unit and where they come from."""

    model_config = _STRICT

    unit: str
    source: Text
    note: Text | None = None

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        if self.unit not in units.COUNT:
            raise ValueError(f"unit {self.unit!r} is not one of {', '.join(units.COUNT)}")
        return self


class CountLimit(_Counted):
    """A whole number that the chip does not exceed."""

    value: Annotated[int, Field(ge=0, le=2**62)]


class Bits(_Counted):
    """Width of a register."""

    value: Annotated[int, Field(ge=1, le=31)]


class Exponent(_Counted):
    """A power of two."""

    value: Annotated[int, Field(ge=-31, le=31)]


class Delay(_Counted):
    """Steps beyond the one that every synapse takes."""

    value: Annotated[int, Field(ge=0, le=2**16)]


class Compartments(_Counted):
    """How many compartments a neuron takes."""

    value: Annotated[int, Field(ge=1, le=64)]


_Pair = Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(min_length=2, max_length=2)]


class CompartmentsByDelay(_Counted):
    """The longest delay of a synapse into a core, and the compartments that it leaves: several pairs."""

    value: Annotated[list[_Pair], Field(min_length=1, max_length=64)]


class WeightLimit(_Counted):
    """Smallest and largest stored weight of a sign mode, and the step between weights."""

    min: Annotated[int, Field(ge=-(2**16), le=0)]
    max: Annotated[int, Field(ge=0, le=2**16)]
    step: Annotated[int, Field(ge=1, le=2**16)] = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min % self.step or self.max % self.step or self.min == self.max:
            raise ValueError(f"min {self.min} and max {self.max} are not two multiples of step {self.step}")
        return self

    @property
    def levels(self) -> int:
        """How many different weights there are."""
        return (self.max - self.min) // self.step + 1


class EnergyTable(BaseModel):
    """``[energy]``: joules per operation of the neurocores."""

    model_config = _STRICT

    synop: EnergyConstant
    update_active: EnergyConstant
    update_idle: EnergyConstant
    spike_within_tile: EnergyConstant
    hop_east_west: EnergyConstant | None = None
    hop_north_south: EnergyConstant | None = None


class TimeTable(BaseModel):
    """``[time]``: seconds per operation; used once neurons are placed on cores."""

    model_config = _STRICT

    synop: TimeConstant | None = None
    update_active: TimeConstant | None = None
    update_idle: TimeConstant | None = None
    spike_within_tile: TimeConstant | None = None
    hop_east_west: TimeConstant | None = None
    hop_north_south: TimeConstant | None = None
    barrier_1_tile: TimeConstant | None = None
    barrier_32_tiles: TimeConstant | None = None


class PowerTable(BaseModel):
    """``[power]``: watts that do not depend on what is computed; used once chips are known."""

    model_config = _STRICT

    leakage_per_chip: PowerConstant | None = None
    x86_per_chip: PowerConstant | None = None


class MacTable(BaseModel):
    """``[host]`` and ``[teacher]``: joules per multiply-accumulate of an ordinary processor."""

    model_config = _STRICT

    mac: EnergyConstant


class ErrorTable(BaseModel):
    """``[error]``: what error to expect against silicon."""

    model_config = _STRICT

    neurocore: RatioConstant | None = None


class LimitTable(BaseModel):
    """``[limits]``: what fits on a core and a chip; used once neurons are placed."""

    model_config = _STRICT

    neurons_per_core: CountLimit | None = None
    compartments_per_core_by_delay: CompartmentsByDelay | None = None
    in_axons_per_core: CountLimit | None = None
    out_axons_per_core: CountLimit | None = None
    out_axons_across_chips_per_core: CountLimit | None = None
    synapse_memory_per_core: CountLimit | None = None
    groups_per_core: CountLimit | None = Field(
        default=None, validation_alias=AliasChoices("groups_per_core", "compartment_configurations_per_core")
    )
    thresholds_per_core: CountLimit | None = None
    synapse_formats_per_core: CountLimit | None = None
    cores_per_chip: CountLimit | None = None


class RegisterTable(BaseModel):
    """``[registers]``: widths of the registers of a neuron, and how long a synapse may delay."""

    model_config = _STRICT

    state_bits: Bits
    state_shift: Exponent
    decay_bits: Bits
    threshold_bits: Bits
    bias_bits: Bits
    bias_exponent_max: Exponent
    delay_max: Delay


class WeightTable(BaseModel):
    """``[weights]``: formats of a synapse's weight; a sign mode that is left out does not exist."""

    model_config = _STRICT

    bits: Bits
    exponent_min: Exponent
    exponent_max: Exponent
    mixed: WeightLimit
    excitatory: WeightLimit | None = None
    inhibitory: WeightLimit | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for mode in ("mixed", "excitatory", "inhibitory"):
            limit: WeightLimit | None = getattr(self, mode)
            if limit is not None and limit.levels > 2**self.bits.value:
                raise ValueError(
                    f"{mode} has {limit.levels} weights, more than the {2**self.bits.value} of "
                    f"{self.bits.value} bits"
                )
        return self


class ResetTable(BaseModel):
    """``[resets]``: compartments per neuron for each kind of reset; one that is left out does not exist."""

    model_config = _STRICT

    value: Compartments | None = None
    subtract: Compartments | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.value is None and self.subtract is None:
            raise ValueError("a chip has at least one kind of reset: value or subtract")
        return self
