"""The tables of a hardware file: which constants there are, their units and their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from sne_deploy.chips import units

Text = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]
Value = TypeVar("Value")


class Table(BaseModel):
    """Named things and nothing else; never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Sourced(Table):
    """Something with a unit that says where it comes from."""

    unit: str
    source: Text
    note: Text | None = None


class Constant(Sourced):
    """A constant of one physical quantity; ``si`` is its value in the SI unit."""

    _units: ClassVar[Mapping[str, int]]
    _si_unit: ClassVar[str]
    _limit: ClassVar[float]

    value: float

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


class EnergyConstant(Constant):
    """Energy of one operation; at most :data:`units.ENERGY_MAX_J`."""

    _units, _si_unit, _limit = units.ENERGY, "J", units.ENERGY_MAX_J


class TimeConstant(Constant):
    """Time of one operation; at most :data:`units.TIME_MAX_S`."""

    _units, _si_unit, _limit = units.TIME, "s", units.TIME_MAX_S


class PowerConstant(Constant):
    """Power; at most :data:`units.POWER_MAX_W`."""

    _units, _si_unit, _limit = units.POWER, "W", units.POWER_MAX_W


class RatioConstant(Constant):
    """A plain ratio, such as a relative error."""

    _units, _si_unit, _limit = units.RATIO, "", units.RATIO_MAX


class Counted(Sourced):
    """Whole numbers of something."""

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        if self.unit not in units.COUNT:
            raise ValueError(f"unit {self.unit!r} is not one of {', '.join(units.COUNT)}")
        return self


class Limit(Counted, Generic[Value]):
    """What the chip does not exceed."""

    value: Value


_Pair = Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(min_length=2, max_length=2)]
Count = Limit[Annotated[int, Field(ge=0, le=2**62)]]
Bits = Limit[Annotated[int, Field(ge=1, le=31)]]
Positive = Limit[Annotated[int, Field(ge=1, le=2**31)]]
Bits1024 = Limit[Annotated[int, Field(ge=1, le=1024)]]
Exponent = Limit[Annotated[int, Field(ge=-31, le=31)]]
Delay = Limit[Annotated[int, Field(ge=0, le=2**16)]]
"""Steps beyond the one that every synapse takes."""
Compartments = Limit[Annotated[int, Field(ge=1, le=64)]]
Widths = Limit[Annotated[list[Annotated[int, Field(ge=0, le=64)]], Field(min_length=1, max_length=64)]]
"""Widths that a field can have, in ascending order."""
CompartmentsByDelay = Limit[Annotated[list[_Pair], Field(min_length=1, max_length=64)]]
"""The longest delay of a synapse into a core, and the compartments that it leaves: several pairs."""


class WeightLimit(Counted):
    """Smallest and largest stored weight of a sign mode, and the step between weights."""

    min: Annotated[int, Field(ge=-(2**16), le=0)]
    max: Annotated[int, Field(ge=0, le=2**16)]
    step: Annotated[int, Field(ge=1, le=2**16)] = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min % self.step or self.max % self.step or self.min == self.max:
            raise ValueError(f"min {self.min} and max {self.max} are not two multiples of step {self.step}")
        return self


class EnergyTable(Table):
    """``[energy]``: joules per operation of the neurocores."""

    synop: EnergyConstant
    update_active: EnergyConstant
    update_idle: EnergyConstant
    spike_within_tile: EnergyConstant
    hop_east_west: EnergyConstant | None = None
    hop_north_south: EnergyConstant | None = None


class TimeTable(Table):
    """``[time]``: seconds per operation, per step and per sample; :mod:`sne_deploy.energy.time` uses them."""

    synop: TimeConstant | None = None
    update_active: TimeConstant | None = None
    update_idle: TimeConstant | None = None
    spike_within_tile: TimeConstant | None = None
    hop_east_west: TimeConstant | None = None
    hop_north_south: TimeConstant | None = None
    barrier_1_tile: TimeConstant | None = None
    barrier_32_tiles: TimeConstant | None = None
    memory_word: TimeConstant | None = None
    barrier: TimeConstant | None = None
    step_floor: TimeConstant | None = None
    host_per_step: TimeConstant | None = None
    reset_per_sample: TimeConstant | None = None


class PowerTable(Table):
    """``[power]``: watts that do not depend on what is computed."""

    leakage_per_chip: PowerConstant | None = None
    static_per_core: PowerConstant | None = None
    x86_per_chip: PowerConstant | None = None
    x86_per_processor: PowerConstant | None = None


class MacTable(Table):
    """``[host]`` and ``[teacher]``: joules per multiply-accumulate of an ordinary processor."""

    mac: EnergyConstant


class ErrorTable(Table):
    """``[error]``: what error to expect against silicon."""

    neurocore: RatioConstant | None = None


class Interval(Sourced):
    """Factors of a prediction between which silicon is expected."""

    low: Annotated[float, Field(gt=0.0, le=1.0)]
    high: Annotated[float, Field(ge=1.0, le=units.RATIO_MAX)]

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        if self.unit not in units.RATIO:
            raise ValueError(f"unit {self.unit!r} is not one of {', '.join(units.RATIO)}")
        return self


class IntervalTable(Table):
    """``[interval]``: one for each line of power; a line without one has no bounds."""

    neurocore: Interval | None = None
    x86: Interval | None = None
    static: Interval | None = None


class LimitTable(Table):
    """``[limits]``: what fits on a core and a chip, for placing neurons."""

    neurons_per_core: Count | None = None
    compartments_per_core_by_delay: CompartmentsByDelay | None = None
    in_axons_per_core: Count | None = None
    out_axons_per_core: Count | None = None
    out_axons_across_chips_per_core: Count | None = None
    synapse_memory_per_core: Count | None = None
    groups_per_core: Count | None = Field(
        default=None, validation_alias=AliasChoices("groups_per_core", "compartment_configurations_per_core")
    )
    thresholds_per_core: Count | None = None
    synapse_formats_per_core: Count | None = None
    cores_per_chip: Count | None = None
    embedded_processors_per_chip: Count | None = None
    mesh_columns: Count | None = None
    mesh_rows: Count | None = None
    cores_per_tile: Count | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        mesh = (self.mesh_columns, self.mesh_rows, self.cores_per_tile)
        known = [each.value for each in mesh if each is not None]
        if known and (len(known) < len(mesh) or 0 in known):
            raise ValueError("mesh_columns, mesh_rows and cores_per_tile go together, each at least 1")
        if self.cores_per_chip is not None and self.cores_per_chip.value == 0:
            raise ValueError("cores_per_chip is 0, and a chip has at least one core")
        places = math.prod(known)
        if known and self.cores_per_chip is not None and self.cores_per_chip.value > places:
            raise ValueError(
                f"cores_per_chip is {self.cores_per_chip.value}, and the mesh has {places} places"
            )
        return self


class SynapseMemoryTable(Table):
    """``[synapse_memory]``: how weights are stored; one that is left out of the encodings does not exist.

    An in-axon is stored in blocks: a header and, for each synapse, its weight, its delay and the index of its
    target. Each block is rounded up to words.

    Attributes
    ----------
    word, header : Bits
    block : Count or None
        Most synapses behind one header; None: no limit.
    weight : Widths
        Of a stored weight.
    dense, sparse, convolution : Widths or None
        Of the index in this encoding; 0 where a synapse's place says its target.
    """

    word: Bits1024
    header: Count
    block: Positive | None = None
    weight: Widths
    dense: Widths | None = None
    sparse: Widths | None = None
    convolution: Widths | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dense is None and self.sparse is None:
            raise ValueError("weights that are no convolution need one of the encodings dense and sparse")
        return self


class RegisterTable(Table):
    """``[registers]``: widths of the registers of a neuron, and how long a synapse may delay."""

    state_bits: Bits
    state_shift: Exponent
    decay_bits: Bits
    threshold_bits: Bits
    bias_bits: Bits
    bias_exponent_max: Exponent
    delay_max: Delay


class WeightTable(Table):
    """``[weights]``: formats of a synapse's weight; a sign mode that is left out does not exist."""

    bits: Bits
    exponent_min: Exponent
    exponent_max: Exponent
    mixed: WeightLimit
    excitatory: WeightLimit | None = None
    inhibitory: WeightLimit | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        bits = self.bits.value
        for mode in ("mixed", "excitatory", "inhibitory"):
            limit: WeightLimit | None = getattr(self, mode)
            levels = 0 if limit is None else (limit.max - limit.min) // limit.step + 1
            if levels > 2**bits:
                raise ValueError(f"{mode} has {levels} weights, more than the {2**bits} of {bits} bits")
        return self


class ResetTable(Table):
    """``[resets]``: compartments per neuron for each kind of reset; one that is left out does not exist."""

    value: Compartments | None = None
    value_delayed: Compartments | None = None
    subtract: Compartments | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(compartments for _, compartments in self):
            raise ValueError("a chip has at least one kind of reset: value, value_delayed or subtract")
        return self
