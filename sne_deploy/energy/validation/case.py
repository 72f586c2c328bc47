"""A case: what was run on a chip, what a meter saw, where it was published, and what is missing.

A file comes from anyone, so it is read as hostile: bounded, no duplicate or unknown key, no number that is
not finite, every text printable; what is wrong is said in one line, with the field, its value and a remedy.
``docs/adding_a_measurement.md`` says what each field means.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from sne_deploy.chips import units
from sne_deploy.energy.lines import Line
from sne_deploy.errors import DataError
from sne_deploy.files import read_regular
from sne_deploy.text import one_line

MAX_FILE_BYTES = 256 * 1024
"""A case is written by hand, with its counts layer by layer; the largest in this package is 12 kB."""

Quantity = Literal["neurocore dynamic energy", "x86 power", "static power", "chip power", "time per step"]
"""What can be predicted: joules of an inference, watts, or seconds of a step."""
UNITS: Mapping[Quantity, Mapping[str, int]] = {
    quantity: units.ENERGY if "energy" in quantity else units.TIME if "time" in quantity else units.POWER
    for quantity in get_args(Quantity)
}
Seen = Literal[
    "neurocore dynamic", "neurocore static", "x86 dynamic", "x86 static", "input and output", "board"
]
"""What a meter can have seen, as ``docs/energy.md`` draws it."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has characters that do not print; write one line of plain text")
    return text


Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S"), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.,=() -]*$")]
Address = Annotated[str, Field(max_length=300, pattern=r"^https://[!-~]+$")]
Number = Annotated[float, Field(ge=0.0, le=1e18)]
Whole = Annotated[int, Field(ge=0, le=10**15)]
Bounds = Annotated[list[Number], Field(min_length=2, max_length=2)]
Amount = Number | Bounds
"""A count per inference: a number, or where it was not published the least and the most that it can be."""
Cores = Annotated[int, Field(ge=1, le=10**6)]
PerCore = Annotated[list[Whole], Field(max_length=4096)]
PerStep = Annotated[list[Number], Field(max_length=4096)]


class Part(BaseModel):
    """Named things and nothing else; never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(Part):
    """Where the figures were published."""

    url: Address
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")] | None = None
    files: Annotated[list[Text], Field(max_length=16)] = []
    note: Text | None = None


class Boundary(Part):
    """What a meter saw."""

    sees: Annotated[list[Seen], Field(min_length=1, max_length=len(get_args(Seen)))]
    text: Text


class Raw(Part):
    """A value as the probe gave it."""

    value: Annotated[float, Field(ge=-1e15, le=1e15)]
    unit: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[!-~]+$")]


class Reading(Part):
    """A measured quantity, of one inference where it is an energy.

    Attributes
    ----------
    quantity : Quantity
    label : str or None
        Tells apart several readings of one quantity.
    value : float
    unit : str
    boundary : str
        Name in :attr:`Case.boundaries`.
    derived : str or None
        How the value follows from the raw ones.
    cores_powered, processors : int or None
        Where this reading saw others than the rest of its point.
    likely_cause : str or None
        Why a prediction may miss it; printed where it does.
    """

    quantity: Quantity
    label: Name | None = None
    value: Annotated[float, Field(gt=0.0, le=1e15)]
    unit: str
    boundary: Name
    derived: Text | None = None
    cores_powered: Cores | None = None
    processors: Cores | None = None
    likely_cause: Text | None = None

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        allowed = UNITS[self.quantity]
        if self.unit not in allowed:
            raise ValueError(f"unit {self.unit!r} of {self.quantity} is not one of {', '.join(allowed)}")
        return self

    @property
    def si(self) -> float:
        """The value in J, W or s."""
        return units.to_si(self.value, UNITS[self.quantity][self.unit])


class Layer(Part):
    """One layer's counts per inference; ``synops`` are of non-zero weights, ``synops_dense`` of all."""

    name: Name
    neurons: Cores
    cores: Cores | None = None
    spikes: Number
    updates: Number
    synops: Number
    synops_dense: Number | None = None
    messages: Number | None = None
    synops_per_core: PerCore = []
    synops_of_busiest_core_per_step: PerStep = []
    counter: Raw | None = None


class Point(Part):
    """One operating point: its counts per inference, what was powered, and what was read.

    Attributes
    ----------
    name : str
    steps : int or None
        Steps per inference.
    updates, synops, messages : number, or least and most, or None
        Updates of enabled compartments; SynOps of non-zero weights; spikes, once for each core they reach.
    time_per_step : Raw or None
    cores_used, cores_powered, chips, processors : int or None
        Cores that hold a neuron, that leak, chips, and embedded processors in use.
    core_updates : number or None
        Enabled compartments of the fullest core.
    core_synops : list of number
        SynOps of the busiest core in each step of the machine.
    layers : list of Layer
        Their sums are the point's counts.
    raw : mapping of str to Raw
        What the probes gave.
    readings : list of Reading
    """

    name: Name
    steps: Annotated[int, Field(ge=1, le=10**7)] | None = None
    updates: Amount | None = None
    synops: Amount | None = None
    messages: Amount | None = None
    time_per_step: Raw | None = None
    cores_used: Cores | None = None
    cores_powered: Cores | None = None
    chips: Cores | None = None
    processors: Cores | None = None
    core_updates: Number | None = None
    core_synops: PerStep = []
    layers: Annotated[list[Layer], Field(max_length=512)] = []
    raw: Annotated[dict[Name, Raw], Field(max_length=64)] = {}
    readings: Annotated[list[Reading], Field(max_length=32)] = []

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.time_per_step is not None and (
            self.time_per_step.unit not in units.TIME or self.time_per_step.value <= 0
        ):
            raise ValueError(f"time_per_step needs a value above 0 and one of {', '.join(units.TIME)}")
        for name in ("updates", "synops", "messages"):
            given = getattr(self, name)
            if isinstance(given, list) and given[0] > given[1]:
                raise ValueError(f"{name} {given} has its least after its most; write [least, most]")
            counted = [getattr(layer, name) for layer in self.layers]
            if self.layers and None not in counted and isinstance(given, float) and sum(counted) != given:
                raise ValueError(f"{name} is {given:g}, its layers' sum is {sum(counted):g}; correct one")
        return self

    @property
    def step_s(self) -> float | None:
        """Seconds of a step."""
        time = self.time_per_step
        return None if time is None else units.to_si(time.value, units.TIME[time.unit])


class Case(Part):
    """One network on one chip; see ``docs/adding_a_measurement.md``."""

    format: Literal["sne-measurement"]
    version: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[a-z0-9][a-z0-9_]*$")]
    title: Text
    chip: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    board: Text
    network: Text
    workload: Text
    source: Source
    how_counted: Text
    gave: list[Line] = []
    boundaries: Annotated[dict[Name, Boundary], Field(max_length=16)] = {}
    points: Annotated[list[Point], Field(min_length=1, max_length=64)]
    missing: Annotated[list[Text], Field(max_length=32)] = []
    remarks: Annotated[list[Text], Field(max_length=32)] = []

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [point.name for point in self.points]
        if len({*names}) != len(names):
            raise ValueError("two points have one name; name them apart")
        for point in self.points:
            for reading in point.readings:
                if reading.boundary not in self.boundaries:
                    known = ", ".join(self.boundaries) or "none"
                    raise ValueError(
                        f"boundary {reading.boundary!r} of {reading.quantity} is not among boundaries "
                        f"({known}); describe there what the meter saw"
                    )
        return self


def packaged_cases() -> tuple[Case, ...]:
    """The cases in this package, by the names of their files."""
    folder = resources.files("sne_deploy.energy.validation")
    entries = sorted((e for e in folder.iterdir() if e.name.endswith(".json")), key=lambda entry: entry.name)
    return tuple(parse_case(entry.read_bytes(), entry.name) for entry in entries)


def read_case(path: str | os.PathLike[str]) -> Case:
    """Read a case from a file of its own.

    Raises
    ------
    DataError
        Missing, too large, not JSON, incomplete or impossible.
    """
    name = os.fspath(path)
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise DataError(
            f"cannot read case {one_line(name)!r}: {error.strerror}; give a JSON file such as "
            "docs/adding_a_measurement.md describes"
        ) from error
    return parse_case(data, name)


def parse_case(data: bytes, name: str) -> Case:
    """The case that a file's bytes hold; ``name`` is what messages call it."""
    shown = one_line(name)
    try:
        content = json.loads(
            data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicate
        )
    except RecursionError as error:
        raise DataError(f"case {shown!r} is nested too deeply; give a JSON file as the page shows") from error
    except ValueError as error:
        raise DataError(f"case {shown!r} is not JSON: {one_line(str(error))}; correct it there") from error
    try:
        return Case.model_validate(content)
    except ValidationError as error:
        details = error.errors()
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise DataError(f"case {shown!r}: {_problem(dict(details[0]))}{more}") from error


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _no_duplicate(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return found


def _problem(detail: dict[str, Any]) -> str:
    """One line from one of pydantic's errors: field, value, limit, remedy."""
    field = one_line(".".join(str(part) for part in detail["loc"]))[:120] or "the file"
    kind = detail["type"]
    if kind == "missing":
        return f"{field} is missing; add it, as docs/adding_a_measurement.md shows"
    if kind == "extra_forbidden":
        return f"{field} is not a known field; remove it, or see docs/adding_a_measurement.md for the names"
    value = one_line(repr(detail["input"]))
    value = value if len(value) <= 60 else f"{value[:60]}..."
    reason = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return one_line(f"{field}: {reason}")
    return one_line(f"{field} = {value}: {reason[:1].lower()}{reason[1:]}; correct it")
